#include "cli/policy_source.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "steering/policy_yaml.h"

namespace perigee::cli {
namespace {

Result<std::string> read_text(const std::string& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return Error{path, "is not a regular file"};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{path, std::string("cannot be read: ") + std::strerror(errno)};
  std::string text(kMaxPolicyOctets + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return Error{path, std::string("cannot be read: ") + std::strerror(errno)};
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxPolicyOctets) {
    return Error{path, "is longer than a policy may be, " + std::to_string(kMaxPolicyOctets) + " octets"};
  }
  // A string could also start an Error, so the side is named.
  return {boost::system::in_place_value, std::move(text)};
}

void report(const std::vector<Error>& errors, bool as_json, Terminal& terminal) {
  if (!as_json) {
    terminal.err << text_of(errors);
    return;
  }
  boost::json::array texts;
  for (const Error& error : errors) texts.emplace_back(error.text());
  terminal.out << boost::json::serialize(boost::json::object{{"result", "invalid"}, {"errors", texts}})
               << "\n";
}

}  // namespace

std::optional<PolicySource> read_policy(const std::string& path, bool as_json, Terminal& terminal,
                                        int& code) {
  auto text = read_text(path);
  if (!text) {
    terminal.err << "perigee: " << text.error().text() << "\n";
    code = kFailed;
    return std::nullopt;
  }
  auto policy = parse_policy(*text, path);
  if (!policy) {
    report(policy.error(), as_json, terminal);
    code = kInvalid;
    return std::nullopt;
  }
  return PolicySource{std::move(*text), std::move(*policy)};
}

}  // namespace perigee::cli
