// What clients ask: the distributions are those that are named, and traces are read or refused by line.
#include "simulator/trace.h"

#include <gtest/gtest.h>

#include <cmath>

#include "simulator/portable_math.h"
#include "simulator/random.h"
#include "simulator/scenario.h"

namespace perigee::simulator {
namespace {

using namespace std::chrono_literals;

TEST(PortableMath, IsTheLibrarysToTwelveDigits) {
  for (const double x : {1e-9, 0.3, 0.70710678, 1.0, 2.5, 1e6})
    EXPECT_NEAR(portable_log(x), std::log(x), 1e-12 * std::max(1.0, std::abs(std::log(x)))) << x;
  for (const double x : {-20.0, -0.3, 0.0, 0.34, 5.0, 40.0})
    EXPECT_NEAR(portable_exp(x) / std::exp(x), 1, 1e-12) << x;
  for (const double x : {0.0, 0.1, 0.25, 0.3, 0.75, -7.9, 1234.6})
    EXPECT_NEAR(portable_sine_of_turns(x), std::sin(2 * M_PI * (x - std::floor(x))), 1e-9) << x;
}

TEST(Random, IsTheSameOnEveryMachine) {
  Random random(1);
  EXPECT_EQ(mix(0), 0xe220a8397b1dcdafU) << "SplitMix64's first of seed 0";
  const std::uint64_t first = random.next();
  EXPECT_EQ(first, Random(1).next());
  EXPECT_NE(first, Random(2).next());
}

TEST(Random, HasTheMeansAndVariancesOfItsDistributions) {
  Random random(9);
  constexpr int kDraws = 50'000;
  double exponential = 0, normal = 0, normal2 = 0, gamma = 0, small_gamma = 0, logs = 0;
  for (int i = 0; i < kDraws; ++i) {
    exponential += random.exponential();
    const double n = random.normal();
    normal += n;
    normal2 += n * n;
    gamma += random.gamma(3);
    small_gamma += random.gamma(0.25);
    logs += random.lognormal(100, 0.5) > 100 ? 1 : 0;
  }
  EXPECT_NEAR(exponential / kDraws, 1, 0.02);
  EXPECT_NEAR(normal / kDraws, 0, 0.02);
  EXPECT_NEAR(normal2 / kDraws, 1, 0.03);
  EXPECT_NEAR(gamma / kDraws, 3, 0.05);
  EXPECT_NEAR(small_gamma / kDraws, 0.25, 0.02);
  EXPECT_NEAR(logs / kDraws, 0.5, 0.02) << "the median";
}

TEST(Generate, KeepsItsRateAndItsBurstiness) {
  for (const double burstiness : {1.0, 4.0}) {
    Workload workload;
    workload.rate = 50;
    workload.burstiness = burstiness;
    const auto arrivals = generate(workload, kStart, kStart, 30'000, 2);
    double sum = 0, squares = 0;
    for (std::size_t i = 1; i < arrivals.size(); ++i) {
      const double gap = std::chrono::duration<double>(arrivals[i].at - arrivals[i - 1].at).count();
      sum += gap;
      squares += gap * gap;
    }
    const double n = static_cast<double>(arrivals.size() - 1);
    const double mean = sum / n;
    EXPECT_NEAR(mean, 1 / 50.0, 0.001);
    EXPECT_NEAR((squares / n - mean * mean) / (mean * mean), burstiness, 0.15 * burstiness);
  }
}

TEST(Generate, SurgesAndCountsOnlyAfterTheWarmUp) {
  Workload workload;
  workload.rate = 20;
  workload.surges = {{kStart + 100s, kStart + 110s, 5}};
  const auto arrivals = generate(workload, kStart, kCountedFrom, 2000, 2);
  std::uint32_t counted = 0, crowd = 0;
  for (const Arrival& one : arrivals) {
    counted += one.at >= kCountedFrom;
    crowd += one.at >= kStart + 100s && one.at < kStart + 110s;
  }
  EXPECT_EQ(counted, 2000U);
  EXPECT_GT(arrivals.size(), 3000U);
  EXPECT_NEAR(crowd, 1000, 100);
}

TEST(Generate, TokensAreTwoToFiveOctets) {
  Workload workload;
  workload.prompt = {600, 0.9, 16'000};
  for (const Arrival& one : generate(workload, kStart, kStart, 1000, 2)) {
    EXPECT_GE(one.octets, 2 * one.prompt);
    EXPECT_LE(one.octets, 5 * one.prompt + 1);
  }
}

constexpr const char* kAzure =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46.6805900,374,44\r\n"
    "2023-11-16 18:15:50.9951690,396,109\n"
    "2023-11-17 00:00:00+00:00,879,0\n";
constexpr const char* kBurst =
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n"
    "45.5,ChatGPT,1087,0,1087,API log\n"
    "118,GPT-4,417,276,693,Conversation log";

TEST(ReadTrace, ReadsAzure) {
  const auto trace = read_trace(kAzure, TraceFormat::azure, "azure.csv");
  ASSERT_TRUE(trace.has_value()) << trace.error().text();
  ASSERT_EQ(trace->size(), 3U);
  EXPECT_EQ((*trace)[0].at, 0ns);
  EXPECT_EQ((*trace)[0].prompt, 374U);
  EXPECT_EQ((*trace)[1].at, 4'314'579'000ns);
  EXPECT_EQ((*trace)[1].output, 109U);
  EXPECT_EQ((*trace)[2].at, 5h + 44min + 13s + 319'410'000ns);
  EXPECT_EQ((*trace)[2].output, 1U) << "an answer has at least one token";
}

TEST(ReadTrace, ReadsBurstGptWithoutItsFailures) {
  const auto trace = read_trace(kBurst, TraceFormat::burstgpt, "burst.csv");
  ASSERT_TRUE(trace.has_value()) << trace.error().text();
  ASSERT_EQ(trace->size(), 2U);
  EXPECT_EQ((*trace)[1].at, 113s);
  EXPECT_EQ((*trace)[1].prompt, 417U);
}

TEST(ReadTrace, SaysWhereALineIsWrong) {
  const auto where = [](std::string text, TraceFormat format) {
    const auto trace = read_trace(text, format, "t.csv");
    return trace.has_error() ? trace.error().where : "none";
  };
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  const std::string burst = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";
  EXPECT_EQ(where("", TraceFormat::azure), "t.csv");
  EXPECT_EQ(where(azure, TraceFormat::azure), "t.csv") << "no request";
  EXPECT_EQ(where(burst, TraceFormat::azure), "t.csv:1:1");
  EXPECT_EQ(where(azure + "2023-13-16 18:15:46,1,1\n", TraceFormat::azure), "t.csv:2:1");
  EXPECT_EQ(where(azure + "2023-11-16 18:15:46,x,1\n", TraceFormat::azure), "t.csv:2:21");
  EXPECT_EQ(where(azure + "2023-11-16 18:15:46,1\n", TraceFormat::azure), "t.csv:2:22");
  EXPECT_EQ(where(azure + "2023-11-16 18:15:46,1,-1\n", TraceFormat::azure), "t.csv:2:23");
  EXPECT_EQ(where(azure + "2023-11-16 18:15:46,1,1,1\n", TraceFormat::azure), "t.csv:2:25");
  EXPECT_EQ(where(azure + "2023-11-16 18:15:46,1,1\n2023-11-16 18:15:45,1,1\n", TraceFormat::azure),
            "t.csv:3:1")
      << "back in time";
  EXPECT_EQ(where(azure + "\n2023-11-16 18:15:46,1,1\n", TraceFormat::azure), "t.csv:2:1");
  EXPECT_EQ(where(burst + "5,ChatGPT,472,18,490,Log\nnan,GPT-4,1,1,2,Log\n", TraceFormat::burstgpt),
            "t.csv:3:1");
  EXPECT_EQ(where(burst + "5,ChatGPT,472,,490,Log\n", TraceFormat::burstgpt), "t.csv:2:15");
  EXPECT_EQ(where(burst + "5,ChatGPT,472,18,490\n", TraceFormat::burstgpt), "t.csv:2:21");
}

TEST(Replay, StretchesToTheRateAndBeginsAnew) {
  const auto trace = read_trace(kBurst, TraceFormat::burstgpt, "burst.csv");
  Workload workload;
  workload.rate = 10;
  workload.prompt.max = 400;
  workload.output.max = 1000;
  const auto arrivals = replay(*trace, workload, kStart, kStart, 1000, 1);
  ASSERT_EQ(arrivals.size(), 1000U);
  EXPECT_NEAR(std::chrono::duration<double>(arrivals.back().at - kStart).count(), 100, 0.5);
  for (std::size_t i = 1; i < arrivals.size(); ++i) EXPECT_GE(arrivals[i].at, arrivals[i - 1].at);
  EXPECT_EQ(arrivals[0].prompt, 400U) << "cut";
}

}  // namespace
}  // namespace perigee::simulator
