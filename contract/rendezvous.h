// Weighted rendezvous: which of a tier's candidates takes a new flow. Fixed point only, so that every build,
// machine and language gives the same answer (test/vectors/rendezvous_oracle.py is the independent one).
//
// For a key and a candidate with stable id e and weight w:
//   hash = scramble(key ^ scramble(e)),  cost = -log2((hash + 1) / 2^64) / w;  the smallest cost wins.
// The logarithm of a uniform number is exponential, so a candidate wins in proportion to its weight, and a
// change of one candidate moves only flows to or from it.
#pragma once

#include <cstdint>

#include "contract/address.h"
#include "contract/units.h"

namespace perigee {

// Finalizer of SplitMix64: every input bit reaches every output bit.
constexpr std::uint64_t scramble(std::uint64_t x) {
  x ^= x >> 30U;
  x *= 0xbf58476d1ce4e5b9U;
  x ^= x >> 27U;
  x *= 0x94d049bb133111ebU;
  return x ^ x >> 31U;
}

// 64 bits over (client address, client port, service) with a fixed seed.
std::uint64_t rendezvous_key(const IpAddress& client, std::uint16_t client_port, ServiceId service);

// -log2((hash + 1) / 2^64) in units of 2^-32, interpolated between 256 steps an octave: 1 to 64 * 2^32.
std::uint64_t rendezvous_distance(std::uint64_t hash);

// A candidate's place in the order of a key; smaller is better. Its weight is not 0.
struct RendezvousRank {
  std::uint64_t distance = 0;
  std::uint32_t weight = 0;
  std::uint32_t id = 0;

  // distance / weight compared by cross-multiplication (exact, no division), then the id.
  friend bool operator<(const RendezvousRank& a, const RendezvousRank& b);
};
RendezvousRank rendezvous_rank(std::uint64_t key, EndpointId endpoint, std::uint32_t weight);

}  // namespace perigee
