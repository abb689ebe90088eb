#include "dataplane/snat.h"

#include <bit>
#include <new>

namespace perigee {

namespace {

constexpr std::uint32_t kFirstPort = 1024;  // below are the system ports (RFC 6335 section 6)

std::uint32_t ports_per_worker(std::uint32_t worker_count) { return 65536 / std::bit_ceil(worker_count); }

}  // namespace

SnatPorts::SnatPorts(std::uint32_t worker, std::uint32_t worker_count)
    : first_(worker * ports_per_worker(worker_count)), count_(ports_per_worker(worker_count)) {
  if (first_ < kFirstPort) {
    count_ -= kFirstPort - first_;
    first_ = kFirstPort;
  }
}

std::uint32_t SnatPorts::owner_of(std::uint16_t port, std::uint32_t worker_count) {
  const int bits = std::countr_zero(std::bit_ceil(worker_count));
  const std::uint32_t owner = static_cast<std::uint32_t>(port) >> (16 - bits);
  return owner < worker_count ? owner : 0;
}

SnatRests::SnatRests(std::uint32_t capacity) : rests_(capacity) {
  for (std::uint32_t node = capacity; node-- > 0;) give(node);
}

std::uint32_t SnatRests::take() {
  const std::uint32_t node = free_;
  if (node != kNone) free_ = rests_[node].next;
  return node;
}

void SnatRests::give(std::uint32_t node) {
  rests_[node].next = free_;
  free_ = node;
}

SnatLine::SnatLine(const SnatPorts& ports, std::uint32_t start)
    : ports_(ports),
      fresh_((ports.count() + 63) / 64, ~std::uint64_t{0}),
      fresh_count_(ports.count()),
      cursor_(start % ports.count()),
      flows_(static_cast<std::uint32_t*>(std::calloc(ports.count(), sizeof(std::uint32_t)))) {
  if (!flows_) throw std::bad_alloc();
  if (ports.count() % 64 != 0) fresh_.back() = (std::uint64_t{1} << ports.count() % 64) - 1;
}

std::uint16_t SnatLine::pop(SnatRests& rests) {
  const std::uint32_t node = oldest_;
  const SnatRests::Rest& rest = rests.at(node);
  const std::uint16_t port = rest.port;
  oldest_ = rest.next;
  if (oldest_ == SnatRests::kNone) newest_ = SnatRests::kNone;
  rests.give(node);
  return port;
}

std::optional<SnatLine::Taken> SnatLine::take(SnatRests& rests, FlowTick now) {
  static const FlowTick rest = flow_ticks(static_cast<std::uint64_t>(kSnatRest.count()));
  const bool resting = oldest_ != SnatRests::kNone;
  const bool rested = resting && now - rests.at(oldest_).freed > rest;
  if (!rested && fresh_count_ > 0) {
    std::size_t word = cursor_ / 64;
    std::uint64_t bits = fresh_[word] & ~std::uint64_t{0} << cursor_ % 64;
    while (bits == 0) {
      word = word + 1 == fresh_.size() ? 0 : word + 1;
      bits = fresh_[word];
    }
    const std::uint32_t offset = static_cast<std::uint32_t>(word * 64) + std::countr_zero(bits);
    fresh_[word] &= ~(std::uint64_t{1} << offset % 64);
    cursor_ = offset + 1 == ports_.count() ? 0 : offset + 1;
    --fresh_count_;
    ++used_;
    return Taken{static_cast<std::uint16_t>(ports_.first() + offset), false};
  }
  if (!resting) return std::nullopt;
  ++used_;
  return Taken{pop(rests), !rested};
}

void SnatLine::give(SnatRests& rests, std::uint16_t port, FlowTick now) {
  --used_;
  note(port, kNoSlot);
  const std::uint32_t node = rests.take();
  if (node == SnatRests::kNone) {
    const std::uint32_t offset = port - ports_.first();
    fresh_[offset / 64] |= std::uint64_t{1} << offset % 64;
    ++fresh_count_;
    return;
  }
  rests.at(node) = {now, SnatRests::kNone, port};
  if (newest_ == SnatRests::kNone) {
    oldest_ = node;
  } else {
    rests.at(newest_).next = node;
  }
  newest_ = node;
}

bool SnatLine::claim(std::uint16_t port) {
  if (!ports_.contains(port)) return false;
  const std::uint32_t offset = port - ports_.first();
  const std::uint64_t bit = std::uint64_t{1} << offset % 64;
  if ((fresh_[offset / 64] & bit) == 0) return false;
  fresh_[offset / 64] &= ~bit;
  --fresh_count_;
  ++used_;
  return true;
}

void SnatLine::clear(SnatRests& rests) {
  while (oldest_ != SnatRests::kNone) pop(rests);
}

ClientShare::ClientShare(const HashSeed& seed) : seed_(seed), counts_(std::size_t{2} * kWidth) {}

std::array<std::uint32_t, 2> ClientShare::cells(const std::array<std::uint64_t, 2>& client) const {
  // Words are octets as they lie in memory: the mapped IPv4 address is the last four of the second.
  const bool v4 = client[0] == 0 && static_cast<std::uint32_t>(client[1]) == 0xffff0000U;
  const std::uint64_t prefix = v4 ? client[1] & 0x00ffffffffffffffU : client[0];
  const std::uint64_t hash = fold_multiply(prefix ^ seed_.a, seed_.b ^ 0xd6e8feb86659fd93U);
  return {static_cast<std::uint32_t>(hash >> 48U), kWidth + static_cast<std::uint32_t>(hash & 0xffffU)};
}

bool ClientShare::at_limit(const std::array<std::uint64_t, 2>& client) const {
  const auto [a, b] = cells(client);
  return counts_[a] >= limit_ && counts_[b] >= limit_;
}

void ClientShare::add(const std::array<std::uint64_t, 2>& client) {
  for (const std::uint32_t cell : cells(client)) ++counts_[cell];
}

void ClientShare::remove(const std::array<std::uint64_t, 2>& client) {
  for (const std::uint32_t cell : cells(client)) --counts_[cell];
}

}  // namespace perigee
