#include "gateway/request_odds.h"

#include <algorithm>
#include <array>

#include "router/choose.h"

namespace perigee::gateway {
namespace {

constexpr int kDraws = 4096;  // the odds are right to about a percent

void add_pool(const router::RouterSnapshot& snapshot, const router::RouterSnapshot::Service& service,
              const router::RouterSnapshot::Pool& pool, bool canary, double share, std::uint64_t octets,
              Instant now, std::vector<RequestOdds>& out) {
  router::ChoiceRequest request;
  request.regions = service.residency;
  request.octets = octets;
  request.tokens = static_cast<double>(octets) / pool.octets_per_token;
  std::array<Contender, kMaxServiceEndpoints> room;
  const auto contenders = router::contend(snapshot, pool, request, nullptr, now, room);
  const std::size_t first = out.size();
  for (std::size_t i = 0; i < contenders.size(); ++i)
    out.push_back({snapshot.endpoints[pool.candidates[i].endpoint].name, canary, contenders[i], 0});
  std::uint64_t random = 0;
  for (int i = 0; i < kDraws; ++i) {
    random += 0x9e3779b97f4a7c15U;  // the rendezvous scrambles it
    const auto chosen = choose(contenders, snapshot.class_of(pool).choice, {random, {}}).candidate;
    if (chosen) out[first + *chosen].probability += share / kDraws;
  }
}

}  // namespace

std::vector<RequestOdds> request_odds(const router::RouterSnapshot& snapshot, std::string_view service,
                                      std::string_view model, std::uint64_t octets, Instant now) {
  std::vector<RequestOdds> out;
  const auto found = std::ranges::find(snapshot.services, service, &router::RouterSnapshot::Service::name);
  if (found == snapshot.services.end()) return out;
  const auto* asked = model.empty() && found->models.size() == 1 ? &found->models[0] : found->model(model);
  if (asked == nullptr) return out;
  const double canary = asked->canary_per_10000 / 10'000.0;
  add_pool(snapshot, *found, asked->pool, false, 1 - canary, octets, now, out);
  if (canary > 0) add_pool(snapshot, *found, asked->canary, true, canary, octets, now, out);
  return out;
}

}  // namespace perigee::gateway
