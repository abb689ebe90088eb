// An inference engine in virtual time: continuous batching with chunked prefill over a paged KV cache, as
// vLLM's V1 scheduler does it. Not what any estimator assumes: what a prompt costs depends on its length
// squared, on what decodes beside it and on what the cache already has.
//
// It works in steps. A step takes one token of every running sequence and fills what is left of its token
// budget with prompts, in the order of arrival; it lasts a fixed time, and so much for each token of a
// prompt, for each token it attends to and for each sequence. Steps that only decode are alike, and are taken
// as one until a sequence ends, the cache is full or a request arrives.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "contract/units.h"

namespace perigee::simulator {

struct EngineSpec {
  double speed = 1;                   // hidden from gateways; times below are at speed 1
  double step_ns = 8e6;               // of every step
  double prefill_ns = 4e4;            // for a token of a prompt
  double attention_ns = 2;            // for a token of a prompt and one before it
  double decode_ns = 6e4;             // for a running sequence
  std::uint32_t token_budget = 2048;  // of a step
  std::uint32_t max_running = 64;     // sequences
  std::uint32_t blocks = 8192;        // of the KV cache, of kBlock tokens
  std::uint32_t prefixes = 32;        // shared beginnings that it keeps, least recently used out first

  static constexpr std::uint32_t kBlock = 16;
  // The longest sequence, prompt and output, that it takes: half of the cache.
  [[nodiscard]] std::uint32_t max_tokens() const { return blocks * kBlock / 2; }
};

// What an engine is asked to do.
struct Work {
  std::uint32_t request = 0;
  std::uint32_t prompt = 1;  // tokens, at least 1
  std::uint32_t output = 1;  // tokens, at least 1; prompt + output is at most EngineSpec::max_tokens()
  std::uint32_t prefix = 0;  // whose beginning it shares; 0: nobody's
  std::uint32_t prefix_tokens = 0;
  Instant deadline;  // it is not begun after this
};

struct Emission {
  enum class Kind : std::uint8_t { first, ended, dropped };
  Kind kind = Kind::first;
  std::uint32_t request = 0;
  Instant at;
};

// As engines export it.
struct EngineMetrics {
  std::uint32_t waiting = 0, running = 0;  // requests
  double kv_usage = 0;                     // 0..1
  std::uint64_t prompt_tokens_total = 0;   // of prompts that were worked off
};

class Engine {
 public:
  static constexpr Instant kIdle{std::numeric_limits<std::int64_t>::max()};

  explicit Engine(const EngineSpec& spec);

  // Time only goes on: `now` is no earlier than any before, and no later than next().
  void arrive(const Work& work, Instant now);
  // The end of the step or steps under way; kIdle: there is nothing to do.
  [[nodiscard]] Instant next() const { return end_; }
  // Ends what next() names and begins what follows. Appends what came of it.
  void advance(std::vector<Emission>& emissions);
  void set_speed(double speed) { spec_.speed = speed; }  // from the next step on

  [[nodiscard]] EngineMetrics metrics(Instant now) const;
  [[nodiscard]] const EngineSpec& spec() const { return spec_; }
  // For tests: blocks in use, and sequences that had to give up theirs.
  [[nodiscard]] std::uint32_t used_blocks() const { return used_; }
  [[nodiscard]] std::uint64_t preemptions() const { return preemptions_; }

 private:
  struct Sequence {
    Work work;              // `prompt`: what has to be there before the next token; `output`: tokens to come
    bool answered = false;  // its first token went out
    std::uint32_t cached = 0, done = 0;  // of the prompt: found in the cache; found or computed
  };
  struct Decode {
    std::uint64_t finish = 0;  // the step after which it has all its tokens
    std::uint64_t joined = 0;  // the step at which it began
    std::uint64_t order = 0;   // of admission
    std::uint32_t stored = 0;  // tokens in the cache when it began
    Work work;
    friend bool operator<(const Decode& a, const Decode& b) {  // a heap: the first to finish on top
      return a.finish != b.finish ? a.finish > b.finish : a.order > b.order;
    }
  };
  struct Prefix {
    std::uint32_t id = 0;
    std::uint64_t used = 0;
  };

  void begin(Instant now, std::vector<Emission>* emissions);
  void make_room(std::uint32_t needed);
  void preempt_latest();
  double take_prompts(std::uint32_t budget);
  double take_chunk(Sequence& sequence, std::uint32_t& budget);
  bool admit(Sequence& sequence);
  void drop_expired(Instant now, std::vector<Emission>* emissions);
  void finish_prompt(const Sequence& sequence, std::vector<Emission>& emissions);
  void end_decodes(std::vector<Emission>& emissions);
  [[nodiscard]] std::uint64_t growth(std::uint64_t steps) const;
  [[nodiscard]] std::uint64_t steps_that_fit(std::uint64_t wanted) const;
  [[nodiscard]] std::uint32_t free_blocks() const { return spec_.blocks - used_; }
  [[nodiscard]] bool queue_empty() const { return head_ == waiting_.size() && preempted_.empty(); }
  [[nodiscard]] std::uint32_t cached_tokens(const Work& work);
  void keep_prefix(std::uint32_t id);

  EngineSpec spec_;
  // The steps under way: `steps_` alike, of `step_` each.
  Instant begin_, end_ = kIdle;
  std::int64_t step_ = 0;
  std::uint64_t steps_ = 0;
  bool interruptible_ = false;     // they only decode, and nobody waits
  std::vector<Sequence> chunks_;   // whose prompt is complete when the step ends
  std::vector<Sequence> waiting_;  // from head_ on
  std::size_t head_ = 0;
  std::vector<Sequence> preempted_;  // before those; the last first
  bool has_partial_ = false;
  Sequence partial_;             // in its prompt, when the budget ended; at most one
  std::vector<Decode> decodes_;  // heap
  std::uint64_t counter_ = 0;    // steps with decodes so far
  std::array<std::uint32_t, EngineSpec::kBlock> phases_{};  // decodes by the step at which they need a block
  std::uint32_t used_ = 0;                                  // blocks
  std::uint64_t admitted_ = 0, preemptions_ = 0, prompt_tokens_ = 0, prefix_uses_ = 0;
  std::vector<Prefix> prefixes_;
};

// The time to the first token of `prompt` tokens, of which `cached` are cached, on an idle engine.
[[nodiscard]] Nanos idle_prefill(const EngineSpec& spec, std::uint32_t prompt, std::uint32_t cached = 0);

}  // namespace perigee::simulator
