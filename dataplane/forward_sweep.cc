// Ageing, and resets that go out by themselves: a client that only receives sends nothing we could answer.
#include <algorithm>
#include <bit>

#include "dataplane/forward_state.h"

namespace perigee {

namespace {

// How long one look at every flow takes: idle times are minutes, but a reset is wanted within a second.
constexpr Nanos kPass = std::chrono::seconds(1);
constexpr Nanos kUrgentPass = std::chrono::milliseconds(200);

// RSTs of one step, so that packets wait no longer than about 0.2 ms behind those of a dead endpoint.
constexpr std::uint32_t kResetsPerStep = 1024;
constexpr std::uint32_t kResetsPerFlow = 2;  // to the client and to the endpoint

FlowTick ticks(Nanos duration) { return flow_ticks(static_cast<std::uint64_t>(duration.count())); }

// From `then` to `tick`. A packet's time is read after that of its round, which is the sweep's, so `then` may
// lie ahead by as long as a round takes: no age at all, and not one of 52 days.
FlowTick age_at(FlowTick tick, FlowTick then) {
  constexpr FlowTick kAhead = 0xffff0000U;  // 69 s, modulo 2^32
  const FlowTick age = tick - then;
  return age >= kAhead ? 0 : age;
}

}  // namespace

bool Forwarder::sweep(LinkView links, Instant now, std::uint32_t budget, const EmitSegment& emit) {
  if (links != impl_->links) impl_->see(links, now);
  impl_->resets_left = kResetsPerStep;
  impl_->sweep(now, budget, emit);
  return impl_->resets_left < kResetsPerFlow;
}

void Forwarder::Impl::sweep(Instant now, std::uint32_t budget, const EmitSegment& emit) {
  const Nanos pass = ends.any_doomed() ? kUrgentPass : kPass;
  const Nanos since = std::min(now - swept, pass);
  const auto due = static_cast<std::uint32_t>(std::uint64_t{flows.groups()} * since.count() / pass.count());
  const auto take = [&](std::uint32_t groups_done) {  // what was not done, and fractions, stay due
    swept = now - (since - Nanos(pass.count() * groups_done / flows.groups()));
  };
  for (std::uint32_t done = 0; done < due; ++done) {
    if (sweep_left == 0) {
      if (sweep_group == 0) begin_pass(now);
      sweep_left = flows.used(sweep_group);
    }
    for (; sweep_left != 0; sweep_left &= sweep_left - 1) {
      if (budget == 0 || resets_left < kResetsPerFlow) return take(done);
      --budget;
      const std::uint32_t slot =
          sweep_group * FlowTable::kGroup + static_cast<std::uint32_t>(std::countr_zero(sweep_left));
      visit(slot, now, emit);
    }
    sweep_group = sweep_group + 1 == flows.groups() ? 0 : sweep_group + 1;
  }
  take(due);
}

void Forwarder::Impl::begin_pass(Instant now) {
  ends.judge(path_gone, now);
  options.counters->snat_ports_used.store(ends.snat_ports_used(), std::memory_order_relaxed);
}

bool Forwarder::Impl::doomed(const FlowEntry& flow) {
  return ends.endpoint(flow.endpoint_hint).condition == KnownEndpoint::Condition::doomed ||
         ends.service(flow.service_hint).index == table::kNone || !ends.snat_in_force(flow.snat_address);
}

void Forwarder::Impl::visit(std::uint32_t slot, Instant now, const EmitSegment& emit) {
  FlowEntry& flow = flows.entry(slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  if (phase == FlowPhase::free) return;  // forgotten since this group was looked at
  const FlowTick tick = flow_tick(now);
  if (phase == FlowPhase::reset) {
    const FlowTick age = age_at(tick, flow.since);
    // However late the sweep comes: both ends are told at least once.
    if (age > ticks(kResetFor) && flow.repeats != 0) return forget(slot, tick);
    if (age >= flow.repeats * ticks(kResetRepeat)) push_resets(flow, emit);
    return;
  }
  if (age_at(tick, flow.last_seen) > idle[static_cast<std::size_t>(phase)]) return forget(slot, tick);
  if (!doomed(flow)) return;
  // An opening flow's next SYN finds another endpoint, a datagram too; the others have something to lose.
  if (phase == FlowPhase::opening || phase == FlowPhase::datagrams || phase == FlowPhase::closed) {
    return forget(slot, tick);
  }
  begin_reset(flow, now);
  push_resets(flow, emit);
}

void Forwarder::Impl::begin_reset(FlowEntry& flow, Instant now) {
  flow.since = flow_tick(now);
  flow.repeats = 0;
  flow.phase.store(FlowPhase::reset, std::memory_order_release);
}

// To both ends, each with the sequence it expects next (see flow_reset.h).
void Forwarder::Impl::push_resets(FlowEntry& flow, const EmitSegment& emit) {
  ++flow.repeats;
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  const KnownService& service = ends.service(flow.service_hint);
  if ((flow.flags & kEndpointSeen) != 0) {
    emit(build_reset({service.vip, client_v4(flow), service.port, flow.client_port}, flow.next_to_client,
                     flow.next_to_endpoint, true));
    bump(options.counters->resets_sent);
    --resets_left;
  }
  const bool pathless = endpoint.index != table::kNone && !endpoint.reachable;
  if (endpoint.address == 0 || pathless) return;
  emit(build_reset({ends.snat_address(flow.snat_address), endpoint.address, flow.snat_port, endpoint.port},
                   flow.next_to_endpoint, flow.next_to_client, (flow.flags & kEndpointSeen) != 0));
  bump(options.counters->resets_sent);
  --resets_left;
}

}  // namespace perigee
