#include "steering/learned_costs.h"

#include <algorithm>

namespace perigee {
namespace {

constexpr double kEnoughSamples = 5;   // to speak for its peers
constexpr double kTokenMemory = 256;   // requests, of the ratio
constexpr double kPromptMemory = 256;  // requests, of the mean prompt
constexpr double kPriorRequests = 4;   // that the ratio's prior counts as, of 1000 tokens each
constexpr double kPriorPrompt = 1000;
// An engine's times hold what decoding beside a prefill costs; beyond that they are of another world.
constexpr double kMostScale = 32;

// The same line, steeper or flatter.
ServiceTerms through(const ServiceTerms& terms, const std::optional<PrefillSeen>& engine) {
  if (!engine) return terms;
  const auto expected = static_cast<double>(terms.of(engine->tokens).count());
  if (expected <= 0) return terms;
  const double scale =
      std::clamp(static_cast<double>(engine->took.count()) / expected, 1 / kMostScale, kMostScale);
  return {Nanos(static_cast<std::int64_t>(static_cast<double>(terms.fixed.count()) * scale)),
          terms.ns_per_token * scale};
}

}  // namespace

void LearnedCosts::add(const ServiceSample& sample, const ServiceTerms& prior, Instant now) {
  Pool& pool = pools_[sample.pool];
  const ServiceTerms base = peers(pool, sample.endpoint, prior);
  pool.endpoints[sample.endpoint].estimate.add(sample.tokens, sample.took, base, now);
  const double kept = 1 - 1 / kPromptMemory;
  pool.prompt = pool.prompt * kept + sample.tokens;
  pool.requests = pool.requests * kept + 1;
}

void LearnedCosts::add(const TokenSample& sample) {
  if (sample.tokens == 0 || sample.octets == 0) return;
  Pool& pool = pools_[sample.pool];
  const double kept = 1 - 1 / kTokenMemory;
  pool.octets = pool.octets * kept + static_cast<double>(sample.octets);
  pool.tokens = pool.tokens * kept + static_cast<double>(sample.tokens);
}

const ServiceEstimate* LearnedCosts::find(EndpointId endpoint, ServiceId pool) const {
  const auto found = pools_.find(pool);
  if (found == pools_.end()) return nullptr;
  const auto estimate = found->second.endpoints.find(endpoint);
  return estimate == found->second.endpoints.end() ? nullptr : &estimate->second.estimate;
}

ServiceTerms LearnedCosts::peers(const Pool& pool, EndpointId except, const ServiceTerms& prior) {
  double count = 0, fixed = 0, slope = 0;
  for (const auto& [id, known] : pool.endpoints) {
    if (id == except || !known.retired.never() || known.estimate.samples() < kEnoughSamples) continue;
    const ServiceTerms terms = known.estimate.terms(prior);
    fixed += static_cast<double>(terms.fixed.count());
    slope += terms.ns_per_token;
    ++count;
  }
  if (count == 0) return prior;
  return {Nanos(static_cast<std::int64_t>(fixed / count)), slope / count};
}

ServiceTerms LearnedCosts::service(EndpointId endpoint, ServiceId pool, const ServiceTerms& prior,
                                   const std::optional<PrefillSeen>& engine) const {
  const auto found = pools_.find(pool);
  if (found == pools_.end()) return through(prior, engine);
  const ServiceTerms base = through(peers(found->second, endpoint, prior), engine);
  const auto estimate = found->second.endpoints.find(endpoint);
  return estimate == found->second.endpoints.end() ? base : estimate->second.estimate.terms(base);
}

Instant LearnedCosts::refreshed(EndpointId endpoint, ServiceId pool) const {
  const ServiceEstimate* estimate = find(endpoint, pool);
  return estimate == nullptr ? Instant{} : estimate->refreshed();
}

double LearnedCosts::samples(EndpointId endpoint, ServiceId pool) const {
  const ServiceEstimate* estimate = find(endpoint, pool);
  return estimate == nullptr ? 0 : estimate->samples();
}

double LearnedCosts::octets_per_token(ServiceId pool) const {
  const auto found = pools_.find(pool);
  if (found == pools_.end()) return kOctetsPerToken;
  const double tokens = found->second.tokens + kPriorRequests * kPriorPrompt;
  const double octets = found->second.octets + kPriorRequests * kPriorPrompt * kOctetsPerToken;
  return std::clamp(octets / tokens, kLeastRatio, kMostRatio);
}

double LearnedCosts::mean_prompt(ServiceId pool) const {
  const auto found = pools_.find(pool);
  return found == pools_.end() || found->second.requests == 0 ? 0
                                                              : found->second.prompt / found->second.requests;
}

void LearnedCosts::keep(const std::vector<ServiceId>& pools, const std::vector<EndpointId>& endpoints,
                        Instant now) {
  const auto has = [](const auto& all, auto id) {
    return std::find(all.begin(), all.end(), id) != all.end();
  };
  forget_retired(now + -kRetiredFor);
  std::vector<Instant> retired;
  for (auto& [id, pool] : pools_) {
    for (auto& [endpoint, known] : pool.endpoints) {
      if (has(pools, id) && has(endpoints, endpoint)) {
        known.retired = {};
        continue;
      }
      if (known.retired.never()) known.retired = now;
      retired.push_back(known.retired);
    }
  }
  if (retired.size() > kMostRetired) {
    const auto last_out = retired.end() - static_cast<std::ptrdiff_t>(kMostRetired) - 1;
    std::nth_element(retired.begin(), last_out, retired.end());
    forget_retired(*last_out);
  }
  std::erase_if(pools_,
                [&](const auto& pool) { return pool.second.endpoints.empty() && !has(pools, pool.first); });
}

void LearnedCosts::forget_retired(Instant until) {
  for (auto& [id, pool] : pools_)
    std::erase_if(pool.endpoints, [&](const auto& one) {
      return !one.second.retired.never() && one.second.retired <= until;
    });
}

}  // namespace perigee
