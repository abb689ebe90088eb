#include "router/endpoint_exchange.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace perigee::router {
namespace {

constexpr std::size_t kMaxParts = 16;  // the head, and a body in at most a few pieces
// A head of an endpoint may be a little larger than one of a client: engines repeat request fields in it.
constexpr HeadLimits kResponseHead{std::size_t{32} * 1024, 200};

}  // namespace

std::size_t EndpointExchange::send(std::span<const std::string_view> parts) {
  if (failed_ || !stream_->writable()) return 0;
  std::array<iovec, kMaxParts> pieces;
  std::size_t count = 0;
  for (const std::string_view part : parts) {
    if (part.empty() || count == pieces.size()) continue;
    pieces[count++] = {const_cast<char*>(part.data()),
                       part.size()};  // iovec is for reading and writing alike
  }
  if (count == 0) return 0;
  const IoResult result = stream_->write({pieces.data(), count});
  if (result.status == IoStatus::failed) failed_ = true;
  octets_sent_ += result.octets;
  return result.octets;
}

EndpointExchange::Piece EndpointExchange::broken(std::string_view why) {
  fault_ = why;
  return {State::broken, {}};
}

EndpointExchange::Piece EndpointExchange::read() {
  if (!head_read_) return read_head();
  while (true) {
    const Piece piece = read_body();
    if (piece.state != State::payload || !piece.payload.empty()) return piece;
  }
}

EndpointExchange::Piece EndpointExchange::read_body() {
  if (ended_) return {State::end, {}};
  if (!early_.empty()) {
    // What came with the head. It moves to the scratch, so that decode() may work in place.
    const std::size_t count = std::min(early_.size(), scratch_.size());
    std::memcpy(scratch_.data(), early_.data(), count);
    early_.erase(0, count);
    if (early_.empty()) early_ = {};
    return decode(scratch_.first(count));
  }
  if (framing_.body == BodyKind::none) {
    ended_ = clean_ = true;
    return {State::end, {}};
  }
  if (!stream_->readable()) {
    if (!stream_->peer_closed()) return {State::again, {}};
  }
  const IoResult got = stream_->read(scratch_);
  if (got.status == IoStatus::again) return {State::again, {}};
  if (got.status == IoStatus::eof && framing_.body == BodyKind::until_close) {
    ended_ = true;
    return {State::end, {}};
  }
  if (got.status == IoStatus::eof) return broken("closed before the end of the body");
  if (got.status == IoStatus::failed) return broken("reset before the end of the body");
  octets_received_ += got.octets;
  return decode(scratch_.first(got.octets));
}

EndpointExchange::Piece EndpointExchange::read_head() {
  while (true) {
    if (!early_.empty()) {
      HeadResult result = parse_response_head(early_, kResponseHead, searched_);
      if (result.state == HeadResult::State::refused) return broken(refusal_name(result.refusal));
      if (result.state == HeadResult::State::complete) {
        head_ = std::move(result.head);
        early_.erase(0, head_.octets());
        searched_ = 0;
        const auto framing = check_response(head_);
        if (!framing) return broken(refusal_name(framing.error()));
        if (framing->interim) {
          if (++interim_ > kMaxInterimResponses) return broken(refusal_name(Refusal::too_many_interim));
          continue;
        }
        framing_ = *framing;
        left_ = framing_.length;
        head_read_ = true;
        return {State::head, {}};
      }
      searched_ = result.searched;
    }
    if (!stream_->readable()) {
      if (!stream_->peer_closed()) return {State::again, {}};
    }
    const IoResult got = stream_->read(scratch_);
    if (got.status == IoStatus::again) return {State::again, {}};
    if (got.status == IoStatus::eof) return broken("closed before the response's head");
    if (got.status == IoStatus::failed) return broken("reset before the response's head");
    octets_received_ += got.octets;
    early_.append(scratch_.data(), got.octets);
  }
}

// The payload in `octets`, moved together at their beginning.
EndpointExchange::Piece EndpointExchange::decode(std::span<char> octets) {
  if (framing_.body == BodyKind::until_close) return {State::payload, {octets.data(), octets.size()}};
  std::size_t used = octets.size();
  std::size_t size = octets.size();
  if (framing_.body == BodyKind::length) {
    size = used = std::min<std::uint64_t>(octets.size(), left_);
    left_ -= size;
    ended_ = left_ == 0;
  } else if (framing_.body == BodyKind::chunked) {
    used = size = 0;
    while (used < octets.size() && chunks_.state() == ChunkedDecoder::State::reading) {
      const auto step = chunks_.next({octets.data() + used, octets.size() - used});
      if (!step.payload.empty()) std::memmove(octets.data() + size, step.payload.data(), step.payload.size());
      size += step.payload.size();
      used += step.consumed;
    }
    if (chunks_.state() == ChunkedDecoder::State::refused) return broken(refusal_name(chunks_.refusal()));
    ended_ = chunks_.state() == ChunkedDecoder::State::done;
  } else {
    used = size = 0;
    ended_ = true;
  }
  clean_ = ended_ && used == octets.size() && early_.empty();
  const std::string_view payload(octets.data(), size);
  if (ended_) return {State::end, payload};
  return {State::payload, payload};
}

std::unique_ptr<Stream> EndpointExchange::take_reusable() {
  if (!ended_ || !clean_ || failed_ || !framing_.keep_alive || stream_->peer_closed()) return nullptr;
  if (framing_.body == BodyKind::until_close) return nullptr;
  return std::move(stream_);
}

}  // namespace perigee::router
