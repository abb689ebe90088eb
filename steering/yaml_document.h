// A YAML document as a tree that keeps what a careful reader needs and yaml-cpp's own nodes lose: the place
// of every key and value, and duplicate keys. Aliases, anchors and tags are errors: a policy has no use for
// them, and an alias can make a small file unfold without end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contract/error.h"

namespace perigee::yaml {

inline constexpr std::size_t kMaxDepth = 16;    // a policy is 6 deep
inline constexpr std::size_t kMaxErrors = 100;  // a person reads the first few
inline constexpr std::size_t kMaxQuoted = 60;   // octets of the file repeated in a message

// A place in the file, both from 1.
struct Mark {
  int line = 1;
  int column = 1;
  friend auto operator<=>(const Mark&, const Mark&) = default;
};

struct Node {
  enum class Kind { null, scalar, sequence, map };
  Kind kind = Kind::null;
  Mark mark;
  std::string key;  // when it is a value of a map
  Mark key_mark;
  std::string scalar;
  std::vector<Node> children;  // items, or values with their keys, in the order of the file
};

// `text` as it may be repeated in a message: quoted, cut to kMaxQuoted, control characters as '?'.
[[nodiscard]] std::string quoted(std::string_view text);

// The path of a child: "links" + "syd-mel-a", "services.chat.endpoints" + 1.
[[nodiscard]] std::string join(std::string_view path, std::string_view key);
[[nodiscard]] std::string join(std::string_view path, std::size_t index);

// Collects errors. Knows the place of every path of the document, so that a check made long after reading
// only names the path.
class Report {
 public:
  explicit Report(std::string file) : file_(std::move(file)) {}

  // Where the value at each path is: its own mark, or the key's when it is no scalar.
  void learn_places(const Node& root);
  // At the place of `path`, or of the nearest part of it that is in the file. "" is the whole policy.
  void add(std::string_view path, std::string what);
  void add(Mark mark, std::string_view path, std::string what);

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  // So many that more would not be shown; what is costly to say need not be said.
  [[nodiscard]] bool full() const { return entries_.size() > 10 * kMaxErrors; }
  // By place, without repetitions, at most kMaxErrors and then how many more there are.
  [[nodiscard]] std::vector<Error> errors() const;

 private:
  struct Entry {
    Mark mark;
    std::string what;  // with its path
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  void learn(const Node& node, const std::string& path);

  std::string file_;
  std::vector<std::pair<std::string, Mark>> places_;  // sorted by path
  std::vector<Entry> entries_;
};

// The one document of `text`. Whatever is wrong with it goes to `report`; the tree is then partial.
Node parse_document(std::string_view text, Report& report);

}  // namespace perigee::yaml
