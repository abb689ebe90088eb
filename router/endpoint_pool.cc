#include "router/endpoint_pool.h"

#include <algorithm>
#include <array>
#include <utility>

namespace perigee::router {
namespace {

// The kernel lets the window of an idle connection shrink after a retransmission time-out, which is no
// shorter (RFC 9293 section 3.8.1 by way of Linux's 200 ms; RFC 5681 section 4.1).
constexpr Nanos kWindowKept = std::chrono::milliseconds(200);

}  // namespace

EndpointPool::EndpointPool(Loop& loop, PoolLimits limits)
    : loop_(loop),
      limits_(limits),
      signal_(loop.ready()),
      timer_(loop.timers(), signal_),
      watching_(watch_idle()) {
  watching_.start();
}

Result<PooledStream> EndpointPool::acquire(const EndpointTarget& target, Signal& signal) {
  const auto found = endpoints_.find(target.key);
  if (found == endpoints_.end()) return open(target, signal);
  Endpoint& endpoint = found->second;
  while (!endpoint.idle.empty()) {
    Idle last = std::move(endpoint.idle.back());
    endpoint.idle.pop_back();
    --idle_;
    // One under other settings than are in force now only goes.
    if (last.tls != target.tls || last.address != target.address || last.port != target.port) continue;
    if (!usable(endpoint, last)) continue;
    ++counters_.reused;
    last.stream->bind(&signal);
    return PooledStream{std::move(last.stream), true};
  }
  return open(target, signal);
}

Result<PooledStream> EndpointPool::open(const EndpointTarget& target, Signal& signal) {
  auto stream = Stream::connect(loop_, target.address, target.port, target.tls.get(), signal);
  if (!stream) return stream.error();
  ++counters_.opened;
  return PooledStream{std::move(*stream), false};
}

void EndpointPool::release(const EndpointTarget& target, std::unique_ptr<Stream> stream,
                           std::uint32_t window) {
  if (limits_.total == 0) return;
  Endpoint& endpoint = endpoints_.try_emplace(target.key, Endpoint{{}, limits_.idle}).first->second;
  if (endpoint.idle.size() >= limits_.per_endpoint) {
    ++counters_.closed_full;
    return;
  }
  if (idle_ >= limits_.total) drop_oldest();
  stream->bind(&signal_);
  stream->want_read(true);
  // Something unread, or the end, is there already: looked at with the others.
  if (stream->readable()) signal_.raise();
  endpoint.idle.push_back({std::move(stream), target.tls, target.address, target.port, loop_.now(), window});
  ++idle_;
  sweep_by(loop_.now() + limit_of(endpoint));
}

ConnectionSeen EndpointPool::seen(const EndpointTarget& target, Instant now) const {
  ConnectionSeen out{false, target.tls != nullptr, kInitialWindow};
  const auto found = endpoints_.find(target.key);
  if (found == endpoints_.end() || found->second.idle.empty()) return out;
  const Idle& last = found->second.idle.back();
  out.open = true;
  if (now - last.since < kWindowKept) out.window = std::max(last.window, kInitialWindow);
  return out;
}

void EndpointPool::close_all() {
  limits_.total = 0;
  endpoints_.clear();
  idle_ = 0;
}

// Whether an idle connection may carry a request. Nothing is due from the endpoint then: what it sends is the
// end, an error, or (with TLS) a new ticket, which reading takes in.
bool EndpointPool::usable(Endpoint& endpoint, Idle& idle) {
  std::array<char, 1> octet{};
  if (!idle.stream->peer_closed() &&
      (!idle.stream->readable() || idle.stream->read(octet).status == IoStatus::again)) {
    return true;
  }
  // Three quarters of what it was seen to keep: before it closes the next one, we do.
  const Nanos kept = loop_.now() - idle.since;
  endpoint.limit = std::clamp(kept * 3 / 4, std::min(kShortestIdle, endpoint.limit), endpoint.limit);
  ++counters_.closed_by_endpoint;
  return false;
}

Task<> EndpointPool::watch_idle() {
  for (;;) {
    co_await signal_.wait();
    sweep();
  }
}

// Looks at all that is idle: some hundreds of flags, and only when one changed or the time of one is over.
void EndpointPool::sweep() {
  next_sweep_ = Instant{};
  timer_.disarm();
  for (auto at = endpoints_.begin(); at != endpoints_.end();) {
    Endpoint& endpoint = at->second;
    std::erase_if(endpoint.idle, [&](Idle& idle) {
      if (usable(endpoint, idle)) return false;
      --idle_;
      return true;
    });
    drop_expired(endpoint);
    if (!endpoint.idle.empty()) sweep_by(endpoint.idle.front().since + limit_of(endpoint));
    // What was learned of an endpoint that is gone, or that keeps connections as long as we do, is not worth
    // keeping.
    at = endpoint.idle.empty() && endpoint.limit >= limits_.idle ? endpoints_.erase(at) : std::next(at);
  }
}

void EndpointPool::sweep_by(Instant due) {
  if (!next_sweep_.never() && next_sweep_ <= due) return;
  next_sweep_ = due;
  timer_.arm(due);
}

Nanos EndpointPool::limit_of(const Endpoint& endpoint) const {
  return std::min(endpoint.limit, limits_.idle);
}

void EndpointPool::drop_expired(Endpoint& endpoint) {
  const Nanos limit = limit_of(endpoint);
  const auto fresh =
      std::ranges::find_if(endpoint.idle, [&](const Idle& idle) { return loop_.now() - idle.since < limit; });
  const auto expired = static_cast<std::size_t>(fresh - endpoint.idle.begin());
  if (expired == 0) return;
  endpoint.idle.erase(endpoint.idle.begin(), fresh);
  idle_ -= expired;
  counters_.closed_idle += expired;
  // The endpoint would have kept it: a little more next time, for what was learned from a restart wears off.
  endpoint.limit = std::min(limits_.idle, limit + limit / 32);
}

void EndpointPool::drop_oldest() {
  Endpoint* oldest = nullptr;
  for (auto& [key, endpoint] : endpoints_) {
    if (endpoint.idle.empty()) continue;
    if (oldest == nullptr || endpoint.idle.front().since < oldest->idle.front().since) oldest = &endpoint;
  }
  if (oldest == nullptr) return;
  oldest->idle.erase(oldest->idle.begin());
  --idle_;
  ++counters_.closed_full;
}

}  // namespace perigee::router
