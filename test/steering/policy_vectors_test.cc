// Every policy in test/vectors/policy: a bad one gives exactly the messages beside it, a good one is read,
// compiles to a valid table, and to the table beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "contract/table_file.h"
#include "steering/policy_yaml.h"
#include "steering/table_compiler.h"
#include "test/steering/table_text.h"

namespace perigee {
namespace {

const std::filesystem::path kVectors = std::filesystem::path(PERIGEE_SOURCE_DIR) / "test/vectors/policy";

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::filesystem::path> policies(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kVectors / folder))
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(PolicyVectors, BadPoliciesGiveExactlyTheirMessages) {
  const auto paths = policies("bad");
  EXPECT_GE(paths.size(), 60U);
  for (const auto& path : paths) {
    const PolicyResult result = parse_policy(contents(path), path.filename().string());
    ASSERT_FALSE(result) << path << " was accepted";
    auto expected = path;
    EXPECT_EQ(text_of(result.error()), contents(expected.replace_extension(".expected"))) << path;
  }
}

TEST(PolicyVectors, GoodPoliciesCompileToTheirTables) {
  const auto paths = policies("good");
  EXPECT_GE(paths.size(), 4U);
  for (const auto& path : paths) {
    const PolicyResult result = parse_policy(contents(path), path.filename().string());
    ASSERT_TRUE(result) << text_of(result.error());
    const table::Table table = compile(*result, {1, 2, 0});
    const Result<void> valid = table::validate(table);
    EXPECT_TRUE(valid) << path << ": " << valid.error().text();
    auto expected = path;
    EXPECT_EQ(text_of(table), contents(expected.replace_extension(".table"))) << path;
  }
}

TEST(PolicyVectors, TheExampleIsGood) {
  const PolicyResult result = load_policy(std::string(PERIGEE_SOURCE_DIR) + "/config/policy.yaml");
  ASSERT_TRUE(result) << text_of(result.error());
  EXPECT_TRUE(table::validate(compile(*result, {1, 2, 0})));
}

}  // namespace
}  // namespace perigee
