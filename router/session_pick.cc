// The choice of an endpoint for one attempt.
#include "router/session.h"

namespace perigee::router {

// The next endpoint, and the right to try it.
bool Session::pick() {
  const Instant now = thread_.loop.now();
  std::array<Contender, kMaxServiceEndpoints> room;  // written before it is read
  for (std::size_t tries = 0; tries <= kMaxTried; ++tries) {
    const auto contenders = contend(*snapshot_, *pool_, choice_, &thread_.pool, now, room);
    const Draw draw{thread_.names.number(), choice_.prefix};
    decision_ = decide(*snapshot_, *pool_, contenders, draw);
    if (thread_.records.wants_decisions()) record_decision(contenders, draw, decision_);
    if (!decision_.endpoint) return false;
    permit_ =
        perigee::router::admit(*snapshot_->endpoints[*decision_.endpoint].counters, decision_.panic, now);
    if (permit_.granted) break;
  }
  if (!permit_.granted) return false;
  choice_.add_tried(*decision_.endpoint);
  name_endpoint(record_, decision_);
  ++record_.attempts;
  return true;
}

void Session::name_endpoint(RequestRecord& record, const Decision& decision) const {
  const RouterSnapshot::Endpoint& endpoint = snapshot_->endpoints[*decision.endpoint];
  record.endpoint = endpoint.name;
  record.pop = endpoint.pop;
  record.region = endpoint.region_name;
  record.link = endpoint.link;
  record.expected = decision.cost;
  record.rule = decision.rule;
  record.spilled = decision.spilled;
}

void Session::record_decision(std::span<const Contender> contenders, const Draw& draw,
                              const Decision& decision) {
  DecisionRecord out;
  out.snapshot = snapshot_->number;
  out.request_id = record_.request_id;
  out.service = service_.name;
  out.model = record_.canary ? model_->name + "/canary" : model_->name;
  out.operation = operation_info(operation_->operation).name;
  out.request_class = snapshot_->class_of(*pool_).name;
  if (choice_.regions != kAnyRegion) {
    for (std::size_t i = 0; i < snapshot_->regions.size(); ++i)
      if ((choice_.regions >> i & 1U) != 0) out.residency.push_back(snapshot_->regions[i]);
  }
  out.attempt = record_.attempts + 1;
  out.octets = choice_.octets;
  out.tokens = static_cast<std::uint64_t>(choice_.tokens);
  out.law = snapshot_->class_of(*pool_).choice;
  out.draw = draw;
  std::array<Contender, kMaxServiceEndpoints> kept;
  for (const Contender& contender : decisive(contenders, out.law, draw, kept)) {
    const auto found =
        std::ranges::find(snapshot_->endpoints, contender.endpoint, &RouterSnapshot::Endpoint::id);
    out.candidates.push_back({found->name, contender});
  }
  if (decision.endpoint) out.chosen = snapshot_->endpoints[*decision.endpoint].name;
  out.rule = decision.rule;
  thread_.records.decided(out);
}

}  // namespace perigee::router
