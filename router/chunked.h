// The chunked transfer coding (RFC 9112 section 7.1): an incremental decoder that gives the payload as parts
// of its input, and what an encoder has to write around a payload.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/refusal.h"

namespace perigee::router {

inline constexpr std::size_t kMaxChunkExtension = 256;  // octets after one chunk's size; dropped
// Of a whole body: extensions and trailers are read and dropped, so that they may not cost more than a head.
inline constexpr std::size_t kMaxDroppedOctets = 16U << 10U;

class ChunkedDecoder {
 public:
  enum class State : std::uint8_t { reading, done, refused };
  struct Step {
    std::size_t consumed = 0;  // octets of the input that are dealt with, payload included
    std::string_view payload;  // a part of the input; may be empty
  };

  // At most one span of payload a call: call again with what is left until the input is empty or state() is
  // not `reading`. After `done` nothing more is consumed: what is left belongs to the next message.
  Step next(std::string_view octets);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] Refusal refusal() const { return refusal_; }

 private:
  enum class At : std::uint8_t {
    size_first,
    size,
    extension,
    size_lf,
    payload,
    payload_cr,
    payload_lf,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_lf,
    last_lf,
  };
  void refuse(Refusal refusal);
  void take_control(char octet);
  void take_size(char octet);
  void take_trailer(char octet);

  std::uint64_t left_ = 0;  // octets of this chunk
  std::size_t dropped_ = 0;
  std::uint16_t extension_ = 0;
  std::uint8_t digits_ = 0;
  At at_ = At::size_first;
  State state_ = State::reading;
  Refusal refusal_ = Refusal::none;
};

// What goes before a chunk's payload; kChunkEnd goes after it.
class ChunkPrefix {
 public:
  explicit ChunkPrefix(std::size_t payload_octets);  // not 0: that would end the body
  [[nodiscard]] std::string_view view() const { return {octets_.data() + begin_, octets_.size() - begin_}; }

 private:
  std::array<char, 18> octets_{};
  std::uint8_t begin_ = 0;
};
inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace perigee::router
