// The packets of the fast path bench: TCP between numbered clients, one VIP and three endpoints.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "dataplane/checksum.h"
#include "dataplane/octets.h"
#include "dataplane/packet.h"

namespace perigee::bench {

inline constexpr std::uint32_t kVip = 0xcb00710a;   // 203.0.113.10
inline constexpr std::uint32_t kSnat = 0x0a020101;  // 10.2.1.1 and the 15 after it
inline constexpr std::uint32_t kSnatAddresses = 16;
inline constexpr std::array<std::uint32_t, 3> kEndpoints = {0x0a030001, 0x0a030002, 0x0a030003};
inline constexpr std::array<std::uint32_t, 2> kNextHops = {0xac1f0102,
                                                           0xac1f0202};  // of the two links to them
inline constexpr std::uint32_t kEdge = 0xc613fffe;  // 198.19.255.254, its prefix /15 holds the clients
inline constexpr std::uint8_t kEdgeLength = 15;
inline constexpr std::uint16_t kServicePort = 8000;

// Flow i's client: numbers are scattered (a bijection of 31 bits), as the clients of a real PoP are.
struct Tuple {
  std::uint32_t source = 0, destination = 0;
  std::uint16_t source_port = 0, destination_port = 0;
};
inline Tuple client_tuple(std::uint32_t flow) {
  const std::uint32_t scattered = flow * 0x5bd1e9b5U & 0x7fffffffU;
  return {0xc6120001U + (scattered & 0xffffU), kVip, static_cast<std::uint16_t>(10000 + (scattered >> 16U)),
          kServicePort};
}

// As many as a worker's cache of mbufs, so that the frames are where a device's would be.
inline constexpr std::size_t kFrames = 512;
inline constexpr std::size_t kFrameSize = 128;
inline constexpr std::size_t kFrameLength = 14 + 20 + 20 + 32;

// A pool of frames that can be filled anew; both sides of the bench work on the same pages.
class Frames {
 public:
  Frames() : octets_(kFrames * kFrameSize + 64) {}

  [[nodiscard]] std::span<std::uint8_t> frame(std::size_t i) {
    return {base() + i * kFrameSize, kFrameLength};
  }

  void fill(std::size_t i, const Tuple& tuple, std::uint8_t flags) {
    std::uint8_t* frame = base() + i * kFrameSize;
    std::memset(frame, 0, kFrameLength);
    store_be16(frame + 12, kEtherIpv4);
    std::uint8_t* ip = frame + 14;
    ip[0] = 0x45;
    store_be16(ip + 2, static_cast<std::uint16_t>(kFrameLength - 14));
    store_be16(ip + 6, 0x4000);
    ip[8] = 64;
    ip[9] = kTcp;
    store_be32(ip + 12, tuple.source);
    store_be32(ip + 16, tuple.destination);
    store_be16(ip + 10, ipv4_header_checksum({ip, 20}));
    std::uint8_t* tcp = ip + 20;
    store_be16(tcp, tuple.source_port);
    store_be16(tcp + 2, tuple.destination_port);
    store_be32(tcp + 4, 1000);
    store_be32(tcp + 8, 1);
    tcp[12] = 5U << 4U;
    tcp[13] = flags;
    const auto l4_length = static_cast<std::uint16_t>(kFrameLength - 34);
    const std::uint64_t sum = pseudo_header_sum(tuple.source, tuple.destination, kTcp, l4_length);
    store_be16(tcp + 16, checksum_finish(checksum_add({tcp, l4_length}, sum)));
  }

 private:
  std::uint8_t* base() {
    const auto address = reinterpret_cast<std::uintptr_t>(octets_.data());
    return octets_.data() + (64 - address % 64) % 64;
  }
  std::vector<std::uint8_t> octets_;
};

// Addresses and ports of a frame as they stand.
inline Tuple tuple_of(std::span<const std::uint8_t> frame) {
  return {load_be32(frame.data() + 26), load_be32(frame.data() + 30), load_be16(frame.data() + 34),
          load_be16(frame.data() + 36)};
}

}  // namespace perigee::bench
