#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "cli/decision_text.h"
#include "test/cli/run_words.h"

namespace perigee::cli {
namespace {

using namespace std::chrono_literals;

DecisionRecord random_record(std::mt19937_64& random) {
  DecisionRecord out;
  out.snapshot = random();
  out.request_id = "req-" + std::to_string(random() % 1000);
  out.service = "ai";
  out.model = "llama";
  out.operation = "chat_completions";
  out.request_class = "chat";
  out.residency = {"au", "eu"};
  out.octets = random() % 100'000;
  out.tokens = out.octets / 4;
  out.law.choices = static_cast<std::uint32_t>(1 + random() % 4);
  out.law.equal_ppm = static_cast<std::uint32_t>(random() % 100'000);
  out.law.affinity_margin = Nanos(random() % 2 * 30'000'000);
  out.law.refresh_one_in = static_cast<std::uint32_t>(random() % 4);
  out.draw = {random(), random() % 2 == 0 ? std::optional(random()) : std::nullopt, random() % 4 == 0};
  std::vector<Contender> all;
  for (std::size_t i = 0; i < 1 + random() % 30; ++i) {
    Contender one;
    one.endpoint = EndpointId{static_cast<std::uint32_t>(i + 1)};
    one.tier = static_cast<std::uint8_t>(random() % 3);
    one.weight = static_cast<std::uint32_t>(1 + random() % 100'000);
    one.load = static_cast<std::uint32_t>(1 + random() % 9);
    one.stale = random() % 3 == 0;
    one.full = random() % 4 == 0;
    if (random() % 7 == 0) one.barrier = Verdict::retry_after;
    if (random() % 9 != 0) one.cost.network = Nanos(random() % 90'000'000);
    one.cost.wait = Nanos(random() % 50'000'000);
    one.cost.service = Nanos(random() % 50'000'000);
    one.read = {one.load, random() % 9000, static_cast<std::int64_t>(random() % 5) - 1};
    all.push_back(one);
  }
  std::array<Contender, kMaxContenders> kept;
  const Choice choice = choose(all, out.law, out.draw);
  for (const Contender& one : decisive(all, out.law, out.draw, kept))
    out.candidates.push_back({"gpu-" + std::to_string(one.endpoint.value), one});
  if (choice.candidate) out.chosen = "gpu-" + std::to_string(all[*choice.candidate].endpoint.value);
  out.rule = choice.rule;
  return out;
}

std::string line_of(const DecisionRecord& record) {
  std::string out;
  append_line(out, record);
  return out;
}

TEST(DecisionText, ARecordReadIsTheRecordWritten) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 500; ++i) {
    const DecisionRecord record = random_record(random);
    const std::string line = line_of(record);
    const auto read = parse_decision(std::string_view(line).substr(0, line.size() - 1));
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(read->draw, record.draw);
    EXPECT_EQ(read->law, record.law);
    EXPECT_EQ(read->tokens, record.tokens);
    ASSERT_EQ(read->candidates.size(), record.candidates.size());
    for (std::size_t k = 0; k < record.candidates.size(); ++k) {
      EXPECT_EQ(read->candidates[k].name, record.candidates[k].name);
      EXPECT_EQ(read->candidates[k].contender, record.candidates[k].contender);
    }
    EXPECT_EQ(replay(*read), "");
  }
}

TEST(DecisionText, SaysWhatIsWrong) {
  std::mt19937_64 random(6);
  DecisionRecord record = random_record(random);
  record.candidates.resize(1);
  const std::string line = line_of(record);
  const auto without = [&line](std::string_view what, std::string_view with) {
    std::string changed = line;
    changed.replace(changed.find(what), what.size(), with);
    const auto read = parse_decision(changed);
    return read ? std::string("read") : read.error().what;
  };
  EXPECT_EQ(parse_decision("[]").error().what, "not a JSON object");
  EXPECT_EQ(without("\"random\"", "\"r\""), "random is missing");
  EXPECT_EQ(without("\"law\"", "\"l\""), "law is missing or no object");
  EXPECT_EQ(without("\"tier\":", "\"tier\":-"), "candidates[0].tier is not a number in its range");
  EXPECT_EQ(without("\"rule\":\"", "\"rule\":\"x"), "rule names no rule");
  EXPECT_EQ(without("\"weight\":", "\"weight\":\"7\",\"w\":"),
            "candidates[0].weight is not a number in its range");
}

class ReplayTest : public ::testing::Test {
 protected:
  ~ReplayTest() override { std::filesystem::remove(path); }
  const std::string path = ::testing::TempDir() + "decisions-" + std::to_string(::getpid());
};

TEST_F(ReplayTest, SameDecisionsExit0AndAnotherOneIsNamed) {
  std::mt19937_64 random(7);
  {
    std::ofstream file(path);
    for (int i = 0; i < 50; ++i) file << line_of(random_record(random));
  }
  EXPECT_EQ(run_words({"replay", path}).code, kOk);
  EXPECT_EQ(run_words({"replay", path}).out, "50 decisions as recorded, 0 different, 0 not readable\n");
  DecisionRecord record;
  do record = random_record(random);
  while (record.chosen.empty());
  const std::string truly = record.chosen;
  record.chosen = "gpu-0";
  std::ofstream(path, std::ios::app) << line_of(record) << "{\"rule\":1}\n";
  const auto done = run_words({"replay", path});
  EXPECT_EQ(done.code, kFailed);
  EXPECT_NE(done.out.find(path + ":51: was gpu-0 ("), std::string::npos) << done.out;
  EXPECT_NE(done.out.find("is " + truly + " ("), std::string::npos) << done.out;
  EXPECT_NE(done.err.find(path + ":52: law is missing"), std::string::npos) << done.err;
}

TEST_F(ReplayTest, AFileThatIsNotThereIsAnError) {
  const auto done = run_words({"replay", path + ".absent"});
  EXPECT_EQ(done.code, kFailed);
  EXPECT_NE(done.err.find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace perigee::cli
