// What an inference engine says of its load on its metrics page, read from Prometheus's text format by one
// table of engines and names (engine_metrics.cc). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "contract/units.h"

namespace perigee {

// `unknown`: only reports in its answers were read.
enum class Engine : std::uint8_t { vllm, sglang, trtllm_serve, triton_trtllm, llama_cpp, nim, unknown };
[[nodiscard]] const char* name_of(Engine engine);  // "vllm", "sglang", "trtllm-serve", ...

// One reading of a page. What the page does not have is unknown, never 0: engines rename their metrics, and
// some export them only when told to.
struct EngineLoad {
  // Of a histogram: what was observed since the engine began, and how often.
  struct Observed {
    double sum = 0, count = 0;
    friend bool operator==(const Observed&, const Observed&) = default;
  };

  Instant taken;  // when the page had been read
  Engine engine = Engine::unknown;
  std::optional<std::uint32_t> waiting{};  // requests in its queue
  std::optional<std::uint32_t> running{};  // requests it works on
  std::optional<double> kv_use{};          // of its KV cache, 0..1
  // Since the engine began. Prompt tokens are those whose prefill is over, with those found in the prefix
  // cache: as long as the prompts are.
  std::optional<std::uint64_t> prompt_tokens_total{};
  std::optional<std::uint64_t> generation_tokens_total{};
  std::optional<Observed> request_prompt_tokens{};  // tokens of one request's prompt
  std::optional<Observed> queue_seconds{};          // a request waited in its queue
  std::optional<Observed> prefill_seconds{};        // from there to its first token
  friend bool operator==(const EngineLoad&, const EngineLoad&) = default;
};

// Reads a page of any size in time that is linear in it. Lines that are not understood are passed over, as
// are numbers that are none (NaN), infinite or negative. Series of several models, adapters or parallel ranks
// are added up, shares of a cache averaged. The engine is the one that the most of it is known of; nullopt:
// the page has no name of any.
[[nodiscard]] std::optional<EngineLoad> read_engine_metrics(std::string_view page, Instant taken);

}  // namespace perigee
