#include "steering/engine_metrics.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

namespace perigee {
namespace {

constexpr Instant kTaken{42};

std::string fixture(const std::string& name) {
  std::ifstream file(std::filesystem::path(PERIGEE_SOURCE_DIR) / "test/vectors/engine_metrics" / name,
                     std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

EngineLoad read(const std::string& name) {
  const auto load = read_engine_metrics(fixture(name), kTaken);
  EXPECT_TRUE(load) << name;
  return load.value_or(EngineLoad{});
}

TEST(EngineMetrics, VllmAddsUpItsEngines) {
  EngineLoad expected{.taken = kTaken,
                      .engine = Engine::vllm,
                      .waiting = 7,
                      .running = 21,
                      .kv_use = 0.5,
                      .prompt_tokens_total = 1'048'600,
                      .generation_tokens_total = 55'021,
                      .request_prompt_tokens = EngineLoad::Observed{81'234, 100},
                      .queue_seconds = EngineLoad::Observed{12.5, 100},
                      .prefill_seconds = EngineLoad::Observed{20.25, 99}};
  EXPECT_EQ(read("vllm.txt"), expected);
}

TEST(EngineMetrics, VllmOfOldAndWhatItLacksIsUnknown) {
  EngineLoad expected{.taken = kTaken, .engine = Engine::vllm, .waiting = 0, .running = 2, .kv_use = 0.0625};
  EXPECT_EQ(read("vllm_0_6.txt"), expected);
}

TEST(EngineMetrics, SglangCountsARankAndAPriorityOnce) {
  EngineLoad expected{.taken = kTaken,
                      .engine = Engine::sglang,
                      .waiting = 7,
                      .running = 8,
                      .kv_use = 0.5,
                      .prompt_tokens_total = 10'000,
                      .generation_tokens_total = 777,
                      .request_prompt_tokens = EngineLoad::Observed{8000, 16},
                      .queue_seconds = EngineLoad::Observed{4.5, 18}};
  EXPECT_EQ(read("sglang.txt"), expected);
}

TEST(EngineMetrics, TrtllmServe) {
  EngineLoad expected{.taken = kTaken,
                      .engine = Engine::trtllm_serve,
                      .waiting = 1,
                      .running = 7,
                      .kv_use = 0.2,
                      .prompt_tokens_total = 40'000,
                      .generation_tokens_total = 12'000,
                      .request_prompt_tokens = EngineLoad::Observed{40'000, 40},
                      .queue_seconds = EngineLoad::Observed{0.03, 40},
                      .prefill_seconds = EngineLoad::Observed{6, 40}};
  EXPECT_EQ(read("trtllm_serve.txt"), expected);
}

TEST(EngineMetrics, TritonTellsThemApartByLabel) {
  EngineLoad expected{.taken = kTaken,
                      .engine = Engine::triton_trtllm,
                      .waiting = 6,
                      .running = 11,
                      .kv_use = 0.375,
                      .prompt_tokens_total = 2100,
                      .generation_tokens_total = 420,
                      .request_prompt_tokens = EngineLoad::Observed{2100, 21}};
  EXPECT_EQ(read("triton_trtllm.txt"), expected);
}

TEST(EngineMetrics, LlamaCpp) {
  EngineLoad expected{.taken = kTaken,
                      .engine = Engine::llama_cpp,
                      .waiting = 1,
                      .running = 2,
                      .prompt_tokens_total = 1500,
                      .generation_tokens_total = 321};
  EXPECT_EQ(read("llama_cpp.txt"), expected);
  const auto older = read_engine_metrics("llamacpp:kv_cache_usage_ratio 0.25", kTaken);
  ASSERT_TRUE(older);
  EXPECT_EQ(older->kv_use, 0.25);
}

TEST(EngineMetrics, Nim) {
  EngineLoad expected{.taken = kTaken,
                      .engine = Engine::nim,
                      .waiting = 2,
                      .running = 4,
                      .kv_use = 0.125,
                      .prompt_tokens_total = 5000,
                      .generation_tokens_total = 700,
                      .request_prompt_tokens = EngineLoad::Observed{5000, 20}};
  EXPECT_EQ(read("nim.txt"), expected);
}

TEST(EngineMetrics, TheEngineThatMostIsKnownOf) {
  const auto load = read_engine_metrics("vllm:num_requests_waiting 9\n" + fixture("nim.txt"), kTaken);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->engine, Engine::nim);
  EXPECT_STREQ(name_of(load->engine), "nim");
  EXPECT_EQ(load->waiting, 2U);
}

TEST(EngineMetrics, EscapesTimesExponentsAndWhatIsNoNumber) {
  EngineLoad expected{.taken = kTaken,
                      .engine = Engine::vllm,
                      .waiting = 7,
                      .running = 15,
                      .kv_use = 1,
                      .prompt_tokens_total = std::uint64_t{1} << 53U,
                      .generation_tokens_total = 12};
  EXPECT_EQ(read("odd.txt"), expected);
}

TEST(EngineMetrics, NoEngineIsNoLoad) {
  EXPECT_FALSE(read_engine_metrics("", kTaken));
  EXPECT_FALSE(read_engine_metrics("\n\n{}\n\"", kTaken));
  EXPECT_FALSE(read_engine_metrics(fixture("other.txt"), kTaken));
}

// Every cut of a page, and pages with octets changed: no crash (the sanitizers see to the rest).
TEST(EngineMetrics, CutAndSpoiledPages) {
  std::mt19937 random(7);
  for (const char* name : {"vllm.txt", "sglang.txt", "triton_trtllm.txt", "odd.txt"}) {
    const std::string page = fixture(name);
    for (std::size_t cut = 0; cut < page.size(); cut += 3) {
      const std::string begin = page.substr(0, cut);  // of its own: reading past its end is seen
      (void)read_engine_metrics(begin, kTaken);
    }
    for (int i = 0; i < 200; ++i) {
      std::string spoiled = page;
      for (int k = 0; k < 20; ++k) spoiled[random() % spoiled.size()] = "{}\"\\=,\n 9e\0\xff"[random() % 12];
      (void)read_engine_metrics(spoiled, kTaken);
    }
  }
}

// A test of time only in that one of square cost would not end.
TEST(EngineMetrics, LongLinesAreLinear) {
  std::string page = "vllm:num_requests_waiting{";
  while (page.size() < (1U << 20U)) page += "a=\"\\\"\",";
  page += "} 3";
  const auto load = read_engine_metrics(page, kTaken);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->waiting, 3U);
  EXPECT_FALSE(read_engine_metrics("vllm:num_requests_waiting " + std::string(1U << 20U, '9') + "x", kTaken));
}

}  // namespace
}  // namespace perigee
