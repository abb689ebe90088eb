// The engine: nothing is lost or made, and in the one case that theory covers it waits as theory says.
#include "simulator/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "simulator/random.h"
#include "simulator/scenario.h"

namespace perigee::simulator {
namespace {

struct Ends {
  std::uint32_t first = 0, ended = 0, dropped = 0;
  Instant first_at;
};

// Feeds `asked` at their times and runs until the engine is idle.
std::map<std::uint32_t, Ends> run(Engine& engine, const std::vector<Arrival>& asked, Instant deadline) {
  std::map<std::uint32_t, Ends> ends;
  std::vector<Emission> emissions;
  const auto advance = [&] {
    emissions.clear();
    const Instant at = engine.next();
    engine.advance(emissions);
    EXPECT_LE(engine.used_blocks(), engine.spec().blocks);
    for (const Emission& emission : emissions) {
      EXPECT_EQ(emission.at, at);
      Ends& one = ends[emission.request];
      if (emission.kind == Emission::Kind::first) {
        EXPECT_EQ(one.ended, 0U);
        one.first_at = at;
      }
      one.first += emission.kind == Emission::Kind::first;
      one.ended += emission.kind == Emission::Kind::ended;
      one.dropped += emission.kind == Emission::Kind::dropped;
    }
  };
  for (std::uint32_t i = 0; i < asked.size(); ++i) {
    while (engine.next() <= asked[i].at) advance();
    engine.arrive({i, asked[i].prompt, asked[i].output, asked[i].prefix, asked[i].prefix_tokens, deadline},
                  asked[i].at);
  }
  while (engine.next() != Engine::kIdle) advance();
  return ends;
}

Workload busy(double rate) {
  Workload workload;
  workload.rate = rate;
  workload.prompt = {400, 1.0, 4000};
  workload.output = {80, 1.0, 600};
  workload.shared = 0.3;
  workload.prefixes = 40;
  workload.prefix_tokens = 200;
  return workload;
}

TEST(Engine, EveryRequestHasOneFirstTokenAndOneEnd) {
  Engine engine{EngineSpec{}};
  const auto asked = generate(busy(18), kStart, kStart, 1500, 3);
  std::uint64_t tokens = 0;
  for (const Arrival& one : asked) tokens += one.prompt;
  const auto ends = run(engine, asked, Engine::kIdle);
  ASSERT_EQ(ends.size(), asked.size());
  for (const auto& [request, one] : ends) {
    EXPECT_EQ(one.first, 1U) << request;
    EXPECT_EQ(one.ended, 1U) << request;
    EXPECT_EQ(one.dropped, 0U) << request;
    EXPECT_GT(one.first_at, asked[request].at);
  }
  EXPECT_EQ(engine.used_blocks(), 0U) << "all blocks are given back";
  EXPECT_EQ(engine.metrics(engine.next()).prompt_tokens_total, tokens);
  EXPECT_EQ(engine.metrics(engine.next()).running, 0U);
}

TEST(Engine, GivesUpSequencesWhenItsCacheIsFullAndStillEndsThem) {
  EngineSpec spec;
  spec.blocks = 600;  // 9600 tokens, for sequences of up to 4600
  Engine engine(spec);
  Workload workload = busy(12);
  workload.prompt.max = 3000;
  const auto asked = generate(workload, kStart, kStart, 1500, 4);
  const auto ends = run(engine, asked, Engine::kIdle);
  EXPECT_GT(engine.preemptions(), 20U);
  ASSERT_EQ(ends.size(), asked.size());
  for (const auto& [request, one] : ends) EXPECT_TRUE(one.first == 1 && one.ended == 1) << request;
  EXPECT_EQ(engine.used_blocks(), 0U);
}

TEST(Engine, DoesNotBeginWhatNobodyWaitsFor) {
  Engine engine{EngineSpec{}};
  const auto asked = generate(busy(200), kStart, kStart, 1000, 5);
  const auto ends = run(engine, asked, kStart + std::chrono::seconds(20));
  std::uint32_t dropped = 0;
  for (const auto& [request, one] : ends) {
    EXPECT_EQ(one.ended + one.dropped, 1U) << request;
    EXPECT_EQ(one.first, one.ended) << request;
    dropped += one.dropped;
  }
  EXPECT_EQ(ends.size(), asked.size());
  EXPECT_GT(dropped, 100U);
}

// A prompt that fills a step and one token of output: one server, deterministic service, Poisson arrivals.
// Pollaczek and Khinchine: the mean wait is rho D / (2 (1 - rho)).
TEST(Engine, WaitsAsTheMD1QueueDoes) {
  constexpr double kLoad = 0.6;
  EngineSpec spec;
  spec.attention_ns = 0;
  const auto service = static_cast<double>(idle_prefill(spec, spec.token_budget).count());
  Workload workload;
  workload.prompt = {static_cast<double>(spec.token_budget), 0, spec.token_budget};
  workload.rate = kLoad * 1e9 / service;
  const auto asked = generate(workload, kStart, kStart, 60'000, 6);
  Engine engine(spec);
  double waited = 0;
  for (const auto& [request, one] : run(engine, asked, Engine::kIdle))
    waited += static_cast<double>((one.first_at - asked[request].at).count()) - service;
  const double mean = waited / static_cast<double>(asked.size());
  EXPECT_NEAR(mean / service, kLoad / (2 * (1 - kLoad)), 0.04);
}

TEST(Engine, DecodesSlowPromptsAndCachesSpeedThem) {
  const EngineSpec spec;
  const auto first_token = [&](std::uint32_t decodes, std::uint32_t prefix, bool cached) {
    Engine engine(spec);
    std::vector<Emission> emissions;
    std::uint32_t request = 0;
    if (cached) engine.arrive({request++, 600, 1, 7, 512, Engine::kIdle}, kStart);
    for (; request < decodes; ++request) engine.arrive({request, 10, 2000, 0, 0, Engine::kIdle}, kStart);
    const Instant later = kStart + std::chrono::seconds(5);
    while (engine.next() <= later) engine.advance(emissions);
    engine.arrive({1000, 1000, 5, prefix, 512, Engine::kIdle}, later);
    for (;;) {
      emissions.clear();
      engine.advance(emissions);
      for (const Emission& emission : emissions)
        if (emission.request == 1000) return emission.at - later;
    }
  };
  EXPECT_EQ(first_token(0, 0, false), idle_prefill(spec, 1000));
  EXPECT_EQ(first_token(0, 7, true), idle_prefill(spec, 1000, 512));
  EXPECT_GT(first_token(40, 0, false), idle_prefill(spec, 1000) + Nanos(40 * 60'000 - 1));
  EXPECT_LT(idle_prefill(spec, 1000) * 8, idle_prefill(spec, 8000) + 8 * Nanos(8'000'000))
      << "a long prompt costs more than its share";
}

}  // namespace
}  // namespace perigee::simulator
