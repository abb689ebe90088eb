#include "steering/policy_yaml.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "steering/policy_check.h"
#include "steering/policy_sections.h"
#include "steering/text_units.h"
#include "steering/yaml_document.h"
#include "steering/yaml_reader.h"

namespace perigee {
namespace {

yaml::Mark mark_at(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return {1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')),
          1 + static_cast<int>(offset - line_start)};
}

// What must hold before YAML is looked for.
bool check_text(std::string_view text, yaml::Report& report) {
  if (text.size() > kMaxPolicyOctets) {
    report.add("",
               "is larger than " + std::to_string(kMaxPolicyOctets) + " octets; a policy is a small file");
    return false;
  }
  if (const auto [good, offset] = check_utf8(text); !good) {
    report.add(mark_at(text, offset), "", "is not UTF-8 text here; save the file as UTF-8");
    return false;
  }
  return true;
}

}  // namespace

PolicyResult parse_policy(std::string_view text, std::string_view file_name) {
  yaml::Report report{std::string(file_name)};
  if (!check_text(text, report)) return report.errors();
  const yaml::Node root = yaml::parse_document(text, report);
  if (root.kind == yaml::Node::Kind::null) {
    if (report.empty()) report.add("", "is empty; start with \"version: 1\"");
    return report.errors();
  }
  report.learn_places(root);
  Policy policy;
  {
    yaml::Map map(yaml::Cursor{&root, ""}, report);
    read_policy(map, policy);
  }
  check_policy(policy, report);
  if (!report.empty()) return report.errors();
  return policy;
}

PolicyResult load_policy(const std::string& path) {
  const auto failed = [&](const std::string& what) { return std::vector<Error>{{path, what}}; };
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    return failed(error ? "cannot be read: " + error.message() : "is not a regular file");
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxPolicyOctets + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (!file.eof() && file.fail())) return failed("cannot be read; is it permitted?");
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_policy(text, path);
}

std::string text_of(const std::vector<Error>& errors) {
  std::string out;
  for (const Error& error : errors) out += error.text() + '\n';
  return out;
}

}  // namespace perigee
