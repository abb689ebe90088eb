// Time and identifiers as types, so that a millisecond is never taken for a nanosecond and a link never
// for an endpoint.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <string_view>

namespace perigee {

using Nanos = std::chrono::nanoseconds;

// A point on CLOCK_MONOTONIC, the one clock both programs share on a host. The zero value means "never".
struct Instant {
  std::int64_t ns = 0;

  [[nodiscard]] bool never() const { return ns == 0; }
  friend auto operator<=>(const Instant&, const Instant&) = default;
  friend Nanos operator-(Instant a, Instant b) { return Nanos(a.ns - b.ns); }
  friend Instant operator+(Instant a, Nanos d) { return Instant{a.ns + d.count()}; }
  friend Instant operator-(Instant a, Nanos d) { return Instant{a.ns - d.count()}; }
};

// Reads CLOCK_MONOTONIC. Decisions take an Instant as an argument; only loops and mains call this.
Instant monotonic_now();

// A 32-bit identifier that follows from a name in the policy and so survives restarts of either program
// (64-bit FNV-1a, folded). 0 means none: no name hashes to it. Two names of one kind with the same id are a
// policy error, so an id is as good as the name.
template <class Tag>
struct StableId {
  std::uint32_t value = 0;

  [[nodiscard]] bool none() const { return value == 0; }
  friend auto operator<=>(const StableId&, const StableId&) = default;
};

std::uint32_t stable_id_of(std::string_view name);

using PopId = StableId<struct PopTag>;
using LinkId = StableId<struct LinkTag>;
using EndpointId = StableId<struct EndpointTag>;
using ServiceId = StableId<struct ServiceTag>;

template <class Id>
Id id_from_name(std::string_view name) {
  return Id{stable_id_of(name)};
}

}  // namespace perigee

template <class Tag>
struct std::hash<perigee::StableId<Tag>> {
  std::size_t operator()(perigee::StableId<Tag> id) const noexcept { return id.value; }
};
