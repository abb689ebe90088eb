#include "simulator/engine.h"

#include <algorithm>

namespace perigee::simulator {
namespace {

constexpr std::uint32_t kBlock = EngineSpec::kBlock;

std::uint32_t blocks_of(std::uint32_t tokens) { return (tokens + kBlock - 1) / kBlock; }

// Whole blocks only, and the last token is always computed.
std::uint32_t usable_prefix(std::uint32_t prompt, std::uint32_t cached) {
  return std::min(cached, prompt - 1) / kBlock * kBlock;
}

double prefill_cost(const EngineSpec& spec, std::uint32_t before, std::uint32_t tokens) {
  const double n = tokens;
  return n * spec.prefill_ns + n * (before + n / 2) * spec.attention_ns;
}

}  // namespace

Engine::Engine(const EngineSpec& spec) : spec_(spec) {
  decodes_.reserve(spec.max_running);
  prefixes_.reserve(spec.prefixes);
}

void Engine::arrive(const Work& work, Instant now) {
  waiting_.push_back({work, false, 0, 0});
  if (end_ == kIdle) {
    begin(now, nullptr);
  } else if (interruptible_) {  // it joins after the step that is under way
    interruptible_ = false;
    const std::int64_t gone = (now - begin_).count();
    const auto steps = static_cast<std::uint64_t>(std::max<std::int64_t>((gone + step_ - 1) / step_, 1));
    steps_ = std::min(steps_, steps);
    end_ = begin_ + Nanos(step_ * static_cast<std::int64_t>(steps_));
  }
}

void Engine::advance(std::vector<Emission>& emissions) {
  const Instant now = end_;
  if (!decodes_.empty()) {
    used_ += static_cast<std::uint32_t>(growth(steps_));
    counter_ += steps_;
    end_decodes(emissions);
  }
  for (const Sequence& sequence : chunks_) finish_prompt(sequence, emissions);
  chunks_.clear();
  begin(now, &emissions);
}

// Decides the next step, or several that are alike.
void Engine::begin(Instant now, std::vector<Emission>* emissions) {
  drop_expired(now, emissions);
  begin_ = now;
  interruptible_ = false;
  make_room(decodes_.empty() ? 0 : phases_[counter_ % kBlock]);
  const auto decodes = static_cast<std::uint32_t>(decodes_.size());
  const double prompts = take_prompts(spec_.token_budget - std::min(decodes, spec_.token_budget));
  if (prompts <= 0 && decodes == 0) {
    end_ = kIdle;
    return;
  }
  steps_ = prompts > 0 ? 1 : steps_that_fit(decodes_.front().finish - counter_);
  interruptible_ = prompts <= 0 && queue_empty();
  const double ns = (spec_.step_ns + decodes * spec_.decode_ns + prompts) / spec_.speed;
  step_ = std::max<std::int64_t>(static_cast<std::int64_t>(ns), 1);
  end_ = now + Nanos(step_ * static_cast<std::int64_t>(steps_));
}

// Nobody is left to read the answer. Only those at the head are looked at, as all wait equally long.
void Engine::drop_expired(Instant now, std::vector<Emission>* emissions) {
  while (head_ < waiting_.size() && waiting_[head_].work.deadline < now) {
    if (emissions != nullptr)
      emissions->push_back({Emission::Kind::dropped, waiting_[head_].work.request, now});
    ++head_;
  }
  if (head_ == waiting_.size()) {
    waiting_.clear();
    head_ = 0;
  } else if (head_ > 1024 && head_ * 2 > waiting_.size()) {
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

// What every running sequence needs for its next token comes first, at the cost of those admitted last.
void Engine::make_room(std::uint32_t needed) {
  while (needed > free_blocks()) {
    preempt_latest();
    needed = decodes_.empty() ? 0 : phases_[counter_ % kBlock];
  }
}

void Engine::preempt_latest() {
  ++preemptions_;
  if (has_partial_) {
    has_partial_ = false;
    used_ -= blocks_of(partial_.work.prompt);
    partial_.done = 0;
    preempted_.push_back(partial_);
    return;
  }
  const auto latest = std::max_element(decodes_.begin(), decodes_.end(),
                                       [](const Decode& a, const Decode& b) { return a.order < b.order; });
  const Decode decode = *latest;
  *latest = decodes_.back();
  decodes_.pop_back();
  std::make_heap(decodes_.begin(), decodes_.end());
  --phases_[(decode.joined - decode.stored) % kBlock];
  const std::uint32_t stored = decode.stored + static_cast<std::uint32_t>(counter_ - decode.joined);
  used_ -= blocks_of(stored);
  Sequence again{decode.work, true, 0, 0};  // computed anew, with the token that was not stored yet
  again.work.prompt = stored + 1;
  again.work.output = static_cast<std::uint32_t>(decode.finish - counter_);
  preempted_.push_back(again);
}

// Fills `budget` tokens with prompts; returns what they cost.
double Engine::take_prompts(std::uint32_t budget) {
  double cost = 0;
  if (has_partial_ && budget > 0) {
    has_partial_ = false;
    cost += take_chunk(partial_, budget);
  }
  while (budget > 0 && !has_partial_ && !queue_empty()) {
    const bool resumed = !preempted_.empty();
    Sequence& next = resumed ? preempted_.back() : waiting_[head_];
    if (!admit(next)) break;
    cost += take_chunk(next, budget);
    if (resumed)
      preempted_.pop_back();
    else
      ++head_;
  }
  return cost;
}

double Engine::take_chunk(Sequence& sequence, std::uint32_t& budget) {
  const std::uint32_t tokens = std::min(budget, sequence.work.prompt - sequence.done);
  const double cost = prefill_cost(spec_, sequence.done, tokens);
  budget -= tokens;
  sequence.done += tokens;
  if (sequence.done == sequence.work.prompt) {
    chunks_.push_back(sequence);
  } else {
    partial_ = sequence;
    has_partial_ = true;
  }
  return cost;
}

// One percent of the cache stays free for those that run, unless nobody does.
bool Engine::admit(Sequence& sequence) {
  const std::size_t running = decodes_.size() + chunks_.size() + (has_partial_ ? 1 : 0);
  if (running >= spec_.max_running) return false;
  const std::uint32_t needed = blocks_of(sequence.work.prompt);
  const std::uint32_t reserve =
      running == 0 ? 0 : spec_.blocks / 100 + (decodes_.empty() ? 0 : phases_[counter_ % kBlock]);
  if (needed + reserve > free_blocks()) return false;
  used_ += needed;
  sequence.cached = sequence.done = sequence.answered ? 0 : cached_tokens(sequence.work);
  return true;
}

void Engine::finish_prompt(const Sequence& sequence, std::vector<Emission>& emissions) {
  const Work& work = sequence.work;
  if (!sequence.answered) {
    emissions.push_back({Emission::Kind::first, work.request, end_});
    prompt_tokens_ += work.prompt;
    keep_prefix(work.prefix);
  }
  if (work.output <= 1) {
    used_ -= blocks_of(work.prompt);
    emissions.push_back({Emission::Kind::ended, work.request, end_});
    return;
  }
  decodes_.push_back({counter_ + work.output - 1, counter_, admitted_++, work.prompt, work});
  std::push_heap(decodes_.begin(), decodes_.end());
  ++phases_[(counter_ - work.prompt) % kBlock];
}

void Engine::end_decodes(std::vector<Emission>& emissions) {
  while (!decodes_.empty() && decodes_.front().finish == counter_) {
    const Decode& decode = decodes_.front();
    used_ -= blocks_of(decode.stored + static_cast<std::uint32_t>(counter_ - decode.joined));
    --phases_[(decode.joined - decode.stored) % kBlock];
    emissions.push_back({Emission::Kind::ended, decode.work.request, end_});
    std::pop_heap(decodes_.begin(), decodes_.end());
    decodes_.pop_back();
  }
}

// Blocks that the running sequences take in their next `steps` steps: each one in kBlock.
std::uint64_t Engine::growth(std::uint64_t steps) const {
  std::uint64_t blocks = steps / kBlock * decodes_.size();
  for (std::uint64_t k = 0; k < steps % kBlock; ++k) blocks += phases_[(counter_ + k) % kBlock];
  return blocks;
}

std::uint64_t Engine::steps_that_fit(std::uint64_t wanted) const {
  if ((wanted / kBlock + 1) * decodes_.size() <= free_blocks()) return wanted;
  std::uint64_t steps = free_blocks() / decodes_.size() * kBlock;
  while (steps < wanted && growth(steps + 1) <= free_blocks()) ++steps;
  return std::clamp<std::uint64_t>(steps, 1, wanted);
}

std::uint32_t Engine::cached_tokens(const Work& work) {
  if (work.prefix == 0) return 0;
  for (Prefix& prefix : prefixes_) {
    if (prefix.id != work.prefix) continue;
    prefix.used = ++prefix_uses_;
    return usable_prefix(work.prompt, work.prefix_tokens);
  }
  return 0;
}

void Engine::keep_prefix(std::uint32_t id) {
  if (id == 0 || spec_.prefixes == 0) return;
  const auto known =
      std::find_if(prefixes_.begin(), prefixes_.end(), [id](const Prefix& p) { return p.id == id; });
  if (known != prefixes_.end()) {
    known->used = ++prefix_uses_;
    return;
  }
  if (prefixes_.size() == spec_.prefixes) {
    *std::min_element(prefixes_.begin(), prefixes_.end(), [](const Prefix& a, const Prefix& b) {
      return a.used < b.used;
    }) = {id, ++prefix_uses_};
    return;
  }
  prefixes_.push_back({id, ++prefix_uses_});
}

EngineMetrics Engine::metrics(Instant now) const {
  std::uint64_t used = used_;
  if (end_ != kIdle && !decodes_.empty()) {
    const auto gone = static_cast<std::uint64_t>((now - begin_).count() / step_);
    used += growth(std::min(gone, steps_));
  }
  return {static_cast<std::uint32_t>(waiting_.size() - head_ + preempted_.size()),
          static_cast<std::uint32_t>(decodes_.size() + chunks_.size() + (has_partial_ ? 1 : 0)),
          static_cast<double>(used) / spec_.blocks, prompt_tokens_};
}

Nanos idle_prefill(const EngineSpec& spec, std::uint32_t prompt, std::uint32_t cached) {
  double ns = 0;
  for (std::uint32_t done = usable_prefix(prompt, cached); done < prompt;) {
    const std::uint32_t tokens = std::min(prompt - done, spec.token_budget);
    ns += (spec.step_ns + prefill_cost(spec, done, tokens)) / spec.speed;
    done += tokens;
  }
  return Nanos(static_cast<std::int64_t>(ns));
}

}  // namespace perigee::simulator
