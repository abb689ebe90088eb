#include "dataplane/stamp.h"

#include <algorithm>
#include <array>
#include <boost/endian/buffers.hpp>
#include <cstring>

namespace perigee::stamp {

namespace {

using boost::endian::big_uint16_buf_t;
using boost::endian::big_uint32_buf_t;
using boost::endian::big_uint64_buf_t;

// RFC 8762 figure 2, with the SSID of RFC 8972 section 3.
struct TestWire {
  big_uint32_buf_t sequence{0};
  big_uint64_buf_t sent{0};
  big_uint16_buf_t error{0};
  big_uint16_buf_t ssid{0};
  std::array<std::uint8_t, 28> mbz{};
};
static_assert(sizeof(TestWire) == kBaseSize && alignof(TestWire) == 1);

// RFC 8762 figure 4.
struct ReplyWire {
  big_uint32_buf_t sequence{0};
  big_uint64_buf_t sent{0};
  big_uint16_buf_t error{0};
  big_uint16_buf_t ssid{0};
  big_uint64_buf_t received{0};
  big_uint32_buf_t sender_sequence{0};
  big_uint64_buf_t sender_sent{0};
  big_uint16_buf_t sender_error{0};
  std::array<std::uint8_t, 2> mbz{};
  std::uint8_t sender_ttl = 0;
  std::array<std::uint8_t, 3> mbz2{};
};
static_assert(sizeof(ReplyWire) == kBaseSize && alignof(ReplyWire) == 1);

// What is missing of a short packet is read as zero (RFC 8762 section 4.6).
template <class Wire>
Wire read(std::span<const std::uint8_t> payload) {
  Wire wire;
  std::memcpy(&wire, payload.data(), std::min(payload.size(), sizeof(Wire)));
  return wire;
}

}  // namespace

void encode(const TestPacket& packet, std::span<std::uint8_t, kBaseSize> out) {
  TestWire wire;
  wire.sequence = packet.sequence;
  wire.sent = packet.sent.bits;
  wire.error = packet.error.bits;
  wire.ssid = packet.ssid;
  std::memcpy(out.data(), &wire, sizeof wire);
}

void encode(const Reply& reply, std::span<std::uint8_t, kBaseSize> out) {
  ReplyWire wire;
  wire.sequence = reply.sequence;
  wire.sent = reply.sent.bits;
  wire.error = reply.error.bits;
  wire.ssid = reply.ssid;
  wire.received = reply.received.bits;
  wire.sender_sequence = reply.sender_sequence;
  wire.sender_sent = reply.sender_sent.bits;
  wire.sender_error = reply.sender_error.bits;
  wire.sender_ttl = reply.sender_ttl;
  std::memcpy(out.data(), &wire, sizeof wire);
}

std::optional<TestPacket> decode_test(std::span<const std::uint8_t> payload) {
  if (payload.size() < kMinTestSize) return std::nullopt;
  const auto wire = read<TestWire>(payload);
  return TestPacket{wire.sequence.value(), {wire.sent.value()}, {wire.error.value()}, wire.ssid.value()};
}

std::optional<Reply> decode_reply(std::span<const std::uint8_t> payload) {
  if (payload.size() < kMinReplySize) return std::nullopt;
  const auto wire = read<ReplyWire>(payload);
  return Reply{wire.sequence.value(),      {wire.sent.value()},         {wire.error.value()},
               wire.ssid.value(),          {wire.received.value()},     wire.sender_sequence.value(),
               {wire.sender_sent.value()}, {wire.sender_error.value()}, wire.sender_ttl};
}

}  // namespace perigee::stamp
