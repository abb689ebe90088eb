#include "router/chunked.h"

#include <algorithm>
#include <limits>

#include "router/http_head.h"

namespace perigee::router {

void ChunkedDecoder::refuse(Refusal refusal) {
  refusal_ = refusal;
  state_ = State::refused;
}

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view octets) {
  Step step;
  while (step.consumed < octets.size() && state_ == State::reading) {
    if (at_ != At::payload) {
      take_control(octets[step.consumed++]);
      continue;
    }
    step.payload = octets.substr(step.consumed, static_cast<std::size_t>(std::min<std::uint64_t>(
                                                    left_, octets.size() - step.consumed)));
    step.consumed += step.payload.size();
    left_ -= step.payload.size();
    if (left_ == 0) at_ = At::payload_cr;
    return step;
  }
  return step;
}

// Everything but payload goes through here, octet by octet: it is little. Line ends are CRLF and nothing
// else.
void ChunkedDecoder::take_control(char octet) {
  switch (at_) {
    case At::size_first:
    case At::size:
      return take_size(octet);
    case At::extension:
      if (octet == '\r') {
        at_ = At::size_lf;
      } else if ((octet < 0x20 && octet != '\t' && octet >= 0) || octet == 0x7f) {
        refuse(Refusal::bad_chunk_size);
      } else if (++extension_ > kMaxChunkExtension || ++dropped_ > kMaxDroppedOctets) {
        refuse(Refusal::chunk_extension_too_long);
      }
      return;
    case At::size_lf:
      if (octet != '\n') return refuse(Refusal::bad_chunk_size);
      at_ = left_ == 0 ? At::trailer_first : At::payload;
      return;
    case At::payload_cr:
      if (octet != '\r') return refuse(Refusal::bad_chunk_end);
      at_ = At::payload_lf;
      return;
    case At::payload_lf:
      if (octet != '\n') return refuse(Refusal::bad_chunk_end);
      at_ = At::size_first;
      return;
    default:
      return take_trailer(octet);
  }
}

void ChunkedDecoder::take_size(char octet) {
  const auto value = static_cast<unsigned char>(octet);
  const unsigned letter = value | 0x20U;
  const bool is_digit = value >= '0' && value <= '9';
  if (is_digit || (letter >= 'a' && letter <= 'f')) {
    if (at_ == At::size_first) {
      left_ = 0;
      digits_ = 0;
      extension_ = 0;
    }
    // 15 digits: below 2^60, and no run of leading zeros.
    if (++digits_ > 15) return refuse(Refusal::chunk_size_overflow);
    left_ = left_ << 4U | (is_digit ? value - '0' : letter - 'a' + 10U);
    at_ = At::size;
  } else if (at_ == At::size && octet == '\r') {
    at_ = At::size_lf;
  } else if (at_ == At::size && octet == ';') {
    at_ = At::extension;
  } else {
    refuse(Refusal::bad_chunk_size);
  }
}

// Trailer fields are checked for their form and dropped: merged into the head they would pass its checks by.
void ChunkedDecoder::take_trailer(char octet) {
  if (++dropped_ > kMaxDroppedOctets) return refuse(Refusal::trailer_too_long);
  switch (at_) {
    case At::trailer_first:
      if (octet == '\r') {
        at_ = At::last_lf;
        return;
      }
      [[fallthrough]];
    case At::trailer_name:
      if (octet == ':' && at_ == At::trailer_name) {
        at_ = At::trailer_value;
      } else if (is_token({&octet, 1})) {
        at_ = At::trailer_name;
      } else {
        refuse(Refusal::bad_trailer);
      }
      return;
    case At::trailer_value:
      if (octet == '\r') {
        at_ = At::trailer_lf;
      } else if ((octet < 0x20 && octet != '\t' && octet >= 0) || octet == 0x7f) {
        refuse(Refusal::bad_trailer);
      }
      return;
    case At::trailer_lf:
      if (octet != '\n') return refuse(Refusal::bad_trailer);
      at_ = At::trailer_first;
      return;
    default:  // last_lf
      if (octet != '\n') return refuse(Refusal::bad_trailer);
      state_ = State::done;
  }
}

ChunkPrefix::ChunkPrefix(std::size_t payload_octets) {
  std::size_t at = octets_.size();
  octets_[--at] = '\n';
  octets_[--at] = '\r';
  for (; payload_octets != 0; payload_octets >>= 4U) octets_[--at] = "0123456789abcdef"[payload_octets & 15U];
  begin_ = static_cast<std::uint8_t>(at);
}

}  // namespace perigee::router
