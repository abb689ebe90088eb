#include "router/request_sender.h"

#include <algorithm>
#include <array>

namespace perigee::router {
namespace {

// Of a body without a length, framed at a time: it is a copy.
constexpr std::size_t kMaxChunk = 64U << 10U;

}  // namespace

bool RequestSender::push(EndpointExchange& endpoint) {
  bool pushed = false;
  while (!sent_all()) {
    std::array<std::string_view, 1 + HeldBody::kMaxPieces> parts;
    parts[0] = head_.substr(head_sent_);
    std::size_t count = 0;
    if (chunked_) {
      frame_chunk();
      parts[1] = std::string_view(chunk_).substr(chunk_sent_);
      count = 1;
    } else {
      count = body_.pieces(at_, std::span(parts).subspan<1>());
    }
    std::size_t offered = 0;
    for (std::size_t i = 0; i <= count; ++i) offered += parts[i].size();
    if (offered == 0) return pushed;  // the rest has not come yet
    std::size_t sent = endpoint.send(std::span(parts).first(count + 1));
    const bool all = sent == offered;
    pushed = pushed || sent > 0;
    const std::size_t of_head = std::min(sent, parts[0].size());
    head_sent_ += of_head;
    sent -= of_head;
    if (chunked_) {
      chunk_sent_ += sent;
    } else {
      body_.advance(at_, sent);
    }
    if (!all) return false;  // a broken connection shows when its answer is read
  }
  return false;
}

void RequestSender::frame_chunk() {
  if (chunk_sent_ < chunk_.size()) return;
  chunk_.clear();
  chunk_sent_ = 0;
  std::array<std::string_view, HeldBody::kMaxPieces> pieces;
  const std::size_t count = body_.pieces(at_, pieces);
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) {
    pieces[i] = pieces[i].substr(0, kMaxChunk - size);
    size += pieces[i].size();
  }
  if (size > 0) {
    chunk_.append(ChunkPrefix(size).view());
    for (std::size_t i = 0; i < count; ++i) chunk_.append(pieces[i]);
    chunk_.append(kChunkEnd);
    body_.advance(at_, size);
  }
  if (body_.sent_all(at_) && !last_chunk_) {
    chunk_.append(kLastChunk);
    last_chunk_ = true;
  }
}

}  // namespace perigee::router
