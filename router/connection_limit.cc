#include "router/connection_limit.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace perigee::router {
namespace {

constexpr std::size_t kV6HostOctets = 8;  // a /64

IpAddress source_of(const IpAddress& address) {
  IpAddress source = address;
  if (!source.is_v4())
    std::ranges::fill(source.octets.end() - kV6HostOctets, source.octets.end(), std::uint8_t{0});
  return source;
}

}  // namespace

ConnectionPermit::ConnectionPermit(ConnectionPermit&& other) noexcept
    : limit_(std::move(other.limit_)), source_(std::exchange(other.source_, std::nullopt)) {}

ConnectionPermit& ConnectionPermit::operator=(ConnectionPermit&& other) noexcept {
  std::swap(limit_, other.limit_);
  std::swap(source_, other.source_);
  return *this;
}

ConnectionPermit::~ConnectionPermit() {
  if (limit_) limit_->give_back(source_);
}

std::size_t ConnectionLimit::Hash::operator()(const IpAddress& address) const noexcept {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, address.octets.data(), sizeof high);
  std::memcpy(&low, address.octets.data() + sizeof high, sizeof low);
  return (high ^ low) *
         0x9e3779b97f4a7c15U;  // a million connections of one source are refused long before a chain
}

ConnectionPermit ConnectionLimit::take() {
  ConnectionPermit permit;
  if (open_.fetch_add(1, std::memory_order_relaxed) >= total_.load(std::memory_order_relaxed)) {
    open_.fetch_sub(1, std::memory_order_relaxed);
  } else {
    permit.limit_ = shared_from_this();
  }
  return permit;
}

bool ConnectionLimit::assign(ConnectionPermit& permit, const IpAddress& source) {
  const IpAddress counted = source_of(source);
  const std::scoped_lock lock(mutex_);
  const auto found = sources_.find(counted);
  const std::size_t held = found == sources_.end() ? 0 : found->second;
  if (held >= per_source_.load(std::memory_order_relaxed)) return false;
  sources_[counted] = held + 1;
  permit.source_ = counted;
  return true;
}

void ConnectionLimit::give_back(const std::optional<IpAddress>& source) {
  open_.fetch_sub(1, std::memory_order_relaxed);
  if (!source) return;
  const std::scoped_lock lock(mutex_);
  const auto found = sources_.find(*source);
  if (--found->second == 0) sources_.erase(found);
}

void ConnectionLimit::change(std::size_t total, std::size_t per_source) {
  total_.store(total, std::memory_order_relaxed);
  per_source_.store(per_source, std::memory_order_relaxed);
}

}  // namespace perigee::router
