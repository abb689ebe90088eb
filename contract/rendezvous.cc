#include "contract/rendezvous.h"

#include <array>
#include <bit>
#include <cstddef>

namespace perigee {

namespace {

constexpr std::uint64_t kSeed = 0x5065726967656531U;  // "Perigee1"; another value moves every new flow

// log2(1 + i / 256) in units of 2^-32, for i up to 256, by repeated squaring of a 1.31 fixed-point number:
// integers only, so the same everywhere.
constexpr std::array<std::uint64_t, 257> make_log2() {
  std::array<std::uint64_t, 257> table{};
  for (std::size_t i = 0; i < 256; ++i) {
    std::uint64_t mantissa = (256 + i) << 23U;
    for (int bit = 0; bit < 32; ++bit) {
      mantissa = mantissa * mantissa >> 31U;
      table[i] <<= 1U;
      if (mantissa >> 32U != 0) {
        table[i] |= 1U;
        mantissa >>= 1U;
      }
    }
  }
  table[256] = std::uint64_t{1} << 32U;
  return table;
}
constexpr std::array<std::uint64_t, 257> kLog2 = make_log2();

std::uint64_t be64(const std::uint8_t* at) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8U | at[i];
  return value;
}

}  // namespace

std::uint64_t rendezvous_key(const IpAddress& client, std::uint16_t client_port, ServiceId service) {
  std::uint64_t key = scramble(kSeed ^ be64(client.octets.data()));
  key = scramble(key ^ be64(client.octets.data() + 8));
  return scramble(key ^ (static_cast<std::uint64_t>(service.value) << 16U | client_port));
}

std::uint64_t rendezvous_distance(std::uint64_t hash) {
  // hash + 1, where the largest hash counts as the one before it.
  const std::uint64_t x = hash == ~std::uint64_t{0} ? hash : hash + 1;
  const int zeros = std::countl_zero(x);
  const std::uint64_t mantissa = x << zeros;  // 1.63 fixed point
  const std::size_t step = mantissa >> 55U & 0xffU;
  const std::uint64_t between = mantissa >> 23U & 0xffffffffU;
  const std::uint64_t fraction = kLog2[step] + ((kLog2[step + 1] - kLog2[step]) * between >> 32U);
  return (std::uint64_t{64} << 32U) - (static_cast<std::uint64_t>(63 - zeros) << 32U) - fraction;
}

bool operator<(const RendezvousRank& a, const RendezvousRank& b) {
  // distance < 2^39, weight < 2^32.
  __extension__ using Wide = unsigned __int128;
  const Wide left = static_cast<Wide>(a.distance) * b.weight;
  const Wide right = static_cast<Wide>(b.distance) * a.weight;
  if (left != right) return left < right;
  return a.id < b.id;
}

RendezvousRank rendezvous_rank(std::uint64_t key, EndpointId endpoint, std::uint32_t weight) {
  return {rendezvous_distance(scramble(key ^ scramble(endpoint.value))), weight, endpoint.value};
}

}  // namespace perigee
