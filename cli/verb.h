// What every verb of `perigee` is made of: its words, its options, and a function.
#pragma once

#include <map>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contract/error.h"

namespace perigee::cli {

// Exit codes. 2, 3 and 4 are promised to scripts that apply policies; 64 is EX_USAGE of sysexits.h.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;       // nothing else fits: no gateway, no file, no permission
inline constexpr int kInvalid = 2;      // the policy has errors
inline constexpr int kRefused = 3;      // by the data plane, or its table cannot be written
inline constexpr int kNoDataplane = 4;  // none is alive
inline constexpr int kUsage = 64;

struct Terminal {
  std::ostream& out;
  std::ostream& err;
};

struct Option {
  std::string_view name;   // "--admin"
  std::string_view value;  // "URL"; empty: a switch
  std::string_view meaning;
  bool required = false;
};

class Arguments;

struct Verb {
  std::string_view name;
  std::string_view summary;
  std::vector<std::string_view> operands;  // each is needed, in this order
  std::vector<Option> options;
  int (*run)(const Arguments& arguments, Terminal& terminal);

  [[nodiscard]] std::string usage() const;  // "perigee links [--admin URL] [--json]"
};

// The words after the verb, checked against what it takes.
class Arguments {
 public:
  // `--name value` and `--name=value`; options and operands in any order; after `--` operands only. The error
  // says what is wrong and what would be right.
  static Result<Arguments> parse(const Verb& verb, std::span<const std::string> words);

  [[nodiscard]] const std::string& operand(std::size_t index) const { return operands_.at(index); }
  [[nodiscard]] bool has(std::string_view name) const { return options_.contains(name); }
  [[nodiscard]] std::optional<std::string> option(std::string_view name) const;

 private:
  std::vector<std::string> operands_;
  std::map<std::string, std::string, std::less<>> options_;
};

}  // namespace perigee::cli
