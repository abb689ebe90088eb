#include "router/http1_exchange.h"

#include <algorithm>
#include <array>

#include "router/header_rules.h"

namespace perigee::router {
namespace {

// What a quiet connection may keep of its input buffer; a larger one is given back.
constexpr std::size_t kKeptInput = 2048;
// The last octets of an answer, with all before them, wait for flush() when they are at most so many: answers
// of one turn then leave one right after the other, and whoever gets them is woken less often.
constexpr std::size_t kWaitsForFlush = 4096;
// Parts of one write: prefix and end of a chunk, the head, the last chunk and what the session gives.
constexpr std::size_t kMaxParts = 16;

iovec part_of(std::string_view octets) {
  return {const_cast<char*>(octets.data()), octets.size()};  // iovec is for reading and writing alike
}

}  // namespace

Http1Exchange::Next Http1Exchange::next() {
  while (true) {
    if (!in_.empty()) {
      HeadResult result = parse_request_head(in_, limits_, searched_);
      if (result.state == HeadResult::State::refused) {
        refusal_ = result.refusal;
        return Next::refused;
      }
      if (result.state == HeadResult::State::complete) {
        head_ = std::move(result.head);
        in_.erase(0, head_.octets());
        begin_request();
        return refusal_ == Refusal::none ? Next::request : Next::refused;
      }
      searched_ = result.searched;
    }
    if (failed_) return Next::gone;
    if (!stream_.readable()) return stream_.peer_closed() ? Next::gone : Next::again;
    const IoResult got = stream_.read(scratch_);
    if (got.status == IoStatus::again) return Next::again;
    if (got.status != IoStatus::ok) return Next::gone;
    in_.append(scratch_.data(), got.octets);
  }
}

void Http1Exchange::begin_request() {
  searched_ = 0;
  octets_in_ = octets_out_ = 0;
  answered_ = false;
  answer_body_ = BodyKind::none;
  chunks_ = {};
  const auto framing = check_request(head_);
  refusal_ = framing ? Refusal::none : framing.error();
  framing_ = framing ? *framing : RequestFraming{};
  left_ = framing_.length;
  body_ = framing_.body == BodyKind::none ? Body::ended : Body::reading;
  continue_due_ = framing_.expect_continue && body_ == Body::reading;
  if (refusal_ != Refusal::none || !framing_.keep_alive) keep_alive_ = false;
}

bool Http1Exchange::reusable() const {
  return keep_alive_ && answered_ && body_ == Body::ended && !failed_ && !stream_.peer_closed();
}

std::size_t Http1Exchange::take(std::string_view octets, std::string& out) {
  if (framing_.body == BodyKind::length) {
    const std::size_t count = std::min<std::uint64_t>(octets.size(), left_);
    out.append(octets.substr(0, count));
    left_ -= count;
    octets_in_ += count;
    if (left_ == 0) body_ = Body::ended;
    return count;
  }
  std::size_t used = 0;
  while (used < octets.size() && chunks_.state() == ChunkedDecoder::State::reading) {
    const ChunkedDecoder::Step step = chunks_.next(octets.substr(used));
    used += step.consumed;
    out.append(step.payload);
    octets_in_ += step.payload.size();
  }
  if (chunks_.state() == ChunkedDecoder::State::done) body_ = Body::ended;
  if (chunks_.state() == ChunkedDecoder::State::refused) {
    body_ = Body::refused;
    refusal_ = chunks_.refusal();
    keep_alive_ = false;
  }
  return used;
}

Exchange::Source Http1Exchange::read_body(std::string& out, std::size_t credit) {
  const std::size_t before = out.size();
  if (body_ == Body::reading && !in_.empty() && credit > 0) {
    in_.erase(0, take(std::string_view(in_).substr(0, credit), out));
    if (in_.empty() && in_.capacity() > kKeptInput) in_ = {};
  }
  while (body_ == Body::reading && in_.empty() && out.size() - before < credit && stream_.readable()) {
    std::size_t want = std::min(scratch_.size(), credit - (out.size() - before));
    if (framing_.body == BodyKind::length) want = std::min<std::uint64_t>(want, left_);
    const IoResult got = stream_.read(scratch_.first(want));
    if (got.status == IoStatus::again) break;
    if (got.status != IoStatus::ok) return Source::gone;
    const std::string_view octets(scratch_.data(), got.octets);
    in_.append(octets.substr(take(octets, out)));
  }
  if (body_ == Body::ended) return Source::end;
  if (body_ == Body::refused) return Source::refused;
  if (out.size() > before) return Source::more;
  return gone() && !stream_.readable() ? Source::gone : Source::again;
}

std::optional<std::uint64_t> Http1Exchange::body_length() const {
  if (framing_.body == BodyKind::chunked) return std::nullopt;
  return framing_.length;
}

void Http1Exchange::admit_body() {
  if (!continue_due_) return;
  continue_due_ = false;
  const iovec part = part_of(kContinue);
  write({&part, 1});
}

void Http1Exchange::start(const AnswerHead& answer) {
  // A body that the client was not asked for, or that we do not want, never comes: what follows on the
  // connection cannot be told from it (RFC 9110 section 10.1.1).
  if (body_ != Body::ended) keep_alive_ = false;
  const bool old = head_.minor_version() == 0;
  answer_body_ = answer.length ? (*answer.length == 0 ? BodyKind::none : BodyKind::length)
                               : (old ? BodyKind::until_close : BodyKind::chunked);
  if (answer_body_ == BodyKind::until_close) keep_alive_ = false;
  ClientResponseHead head;
  head.status = answer.status;
  head.body = answer.length ? BodyKind::length : answer_body_;
  if (answer.status == 204 || answer.status == 304) head.body = BodyKind::none;  // RFC 9110 section 8.6
  // RFC 9110 section 9.3.2: HEAD gets the head alone.
  if (head_.method() == Method::head) answer_body_ = BodyKind::none;
  head.length = answer.length.value_or(0);
  head.keep_alive = keep_alive_;
  head.event_stream = answer.event_stream;
  head.request_id = answer.request_id;
  head.more_fields = answer.more_fields;
  if (answer.endpoint != nullptr) {
    write_response_head(out_, head, *answer.endpoint);
  } else {
    write_response_head(out_, head, answer.content_type);
  }
}

void Http1Exchange::put(std::span<const std::string_view> parts, bool last) {
  std::array<iovec, kMaxParts> pieces;
  std::size_t count = 0;
  std::size_t size = 0;
  if (head_.method() == Method::head) parts = {};
  for (const std::string_view part : parts) size += part.size();
  const bool chunked = answer_body_ == BodyKind::chunked;
  const ChunkPrefix prefix(std::max<std::size_t>(size, 1));
  if (chunked && size > 0) pieces[count++] = part_of(prefix.view());
  for (const std::string_view part : parts) {
    if (!part.empty() && count < pieces.size() - 3) pieces[count++] = part_of(part);
  }
  if (chunked && size > 0) pieces[count++] = part_of(kChunkEnd);
  if (chunked && last) pieces[count++] = part_of(kLastChunk);
  if (last) answered_ = true;
  if (last && unsent() + size <= kWaitsForFlush) {
    keep({pieces.data(), count}, 0);
  } else {
    write({pieces.data(), count});
  }
}

// Of `parts` what follows their first `sent` octets.
void Http1Exchange::keep(std::span<const iovec> parts, std::size_t sent) {
  for (const iovec& part : parts) {
    const std::size_t skip = std::min(sent, part.iov_len);
    sent -= skip;
    out_.append(static_cast<const char*>(part.iov_base) + skip, part.iov_len - skip);
  }
}

// Sends what was kept and then `parts`; keeps what the client does not take.
void Http1Exchange::write(std::span<const iovec> parts) {
  if (failed_) return;
  std::array<iovec, kMaxParts + 1> pieces;
  std::size_t count = 0;
  const std::string_view kept = std::string_view(out_).substr(out_sent_);
  if (!kept.empty()) pieces[count++] = part_of(kept);
  for (const iovec& part : parts) pieces[count++] = part;
  std::size_t sent = 0;
  if (count > 0 && stream_.writable()) {
    const IoResult result = stream_.write({pieces.data(), count});
    if (result.status == IoStatus::failed) failed_ = true;
    sent = result.octets;
  }
  octets_out_ += sent;
  const std::size_t of_kept = std::min(sent, kept.size());
  out_sent_ += of_kept;
  sent -= of_kept;
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
    if (out_.capacity() > kKeptInput) out_ = {};
  }
  if (!failed_) keep(parts, sent);
}

void Http1Exchange::flush() {
  if (unsent() > 0) write({});
}

void Http1Exchange::abandon() {
  keep_alive_ = false;
  failed_ = abandoned_ = true;
}

bool Http1Exchange::drain(std::size_t& limit) {
  while (limit > 0 && stream_.readable()) {
    const IoResult got = stream_.read(scratch_.first(std::min(limit, scratch_.size())));
    if (got.status == IoStatus::again) return true;
    if (got.status != IoStatus::ok) return false;
    limit -= got.octets;
  }
  return limit > 0 && !stream_.peer_closed();
}

}  // namespace perigee::router
