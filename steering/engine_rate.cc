#include "steering/engine_rate.h"

#include <algorithm>
#include <cmath>

namespace perigee {
namespace {

double seconds_of(Nanos time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void EngineRate::take(const EngineLoad& load) {
  take_rate(load);
  take_length(load);
  take_prefill(load);
  before_ = load;
}

void EngineRate::take_rate(const EngineLoad& load) {
  if (!before_ || !load.prompt_tokens_total || !before_->prompt_tokens_total) return;
  const Nanos gap = load.taken - before_->taken;
  const bool busy = load.waiting.value_or(0) > 0 && before_->waiting.value_or(0) > 0;
  // A total that went back is of an engine that began anew.
  if (!busy || gap <= Nanos(0) || gap > kMaxGap || *load.prompt_tokens_total < *before_->prompt_tokens_total)
    return;
  const double fades = std::exp2(-seconds_of(gap) / seconds_of(kHalfLife));
  const auto tokens = static_cast<double>(*load.prompt_tokens_total - *before_->prompt_tokens_total);
  tokens_ = tokens_ * fades + tokens;
  busy_seconds_ = busy_seconds_ * fades + seconds_of(gap);
}

void EngineRate::take_length(const EngineLoad& load) {
  if (!load.request_prompt_tokens) return;
  EngineLoad::Observed fresh = *load.request_prompt_tokens;
  if (before_ && before_->request_prompt_tokens && before_->request_prompt_tokens->count <= fresh.count) {
    fresh.sum -= before_->request_prompt_tokens->sum;
    fresh.count -= before_->request_prompt_tokens->count;
  }
  if (fresh.count <= 0 || fresh.sum <= 0) return;
  // All that was before the first reading weighs as much as what fades can ever weigh, not more.
  const double most = kHalfLifeRequests / std::log(2.0);
  const double share = std::min(1.0, most / fresh.count);
  const double fades = std::exp2(-fresh.count / kHalfLifeRequests);
  lengths_.sum = lengths_.sum * fades + fresh.sum * share;
  lengths_.count = lengths_.count * fades + fresh.count * share;
}

void EngineRate::take_prefill(const EngineLoad& load) {
  if (!before_ || !load.prefill_seconds || !before_->prefill_seconds) return;
  const double sum = load.prefill_seconds->sum - before_->prefill_seconds->sum;
  const double count = load.prefill_seconds->count - before_->prefill_seconds->count;
  if (count <= 0 || sum < 0) return;  // nothing new, or an engine that began anew
  const double fades = std::exp2(-count / kHalfLifeRequests);
  prefills_.sum = prefills_.sum * fades + sum;
  prefills_.count = prefills_.count * fades + count;
}

std::optional<double> EngineRate::prefill_rate() const {
  if (busy_seconds_ < seconds_of(kEnough) || tokens_ <= 0) return std::nullopt;
  return tokens_ / busy_seconds_;
}

std::optional<Nanos> EngineRate::prefill_time() const {
  if (prefills_.count < kEnoughRequests) return std::nullopt;
  return Nanos(std::llround(prefills_.sum / prefills_.count * 1e9));
}

std::optional<double> EngineRate::prompt_tokens() const {
  if (lengths_.count <= 0) return std::nullopt;
  return lengths_.sum / lengths_.count;
}

}  // namespace perigee
