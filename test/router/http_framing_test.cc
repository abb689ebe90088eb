// Every vector in test/vectors/http through head, framing and chunked body, read in one piece and octet by
// octet; then what admitted messages say.
#include "router/http_framing.h"

#include <gtest/gtest.h>

#include <set>

#include "router/chunked.h"
#include "test/router/http_vectors.h"

namespace perigee::router {
namespace {

// Reads as a session does, `piece` octets at a time. The refusal's name, "ok", or "need_more".
std::string outcome(const test::HttpVector& vector, std::size_t piece) {
  const bool request = vector.kind == "request";
  std::string buffer;
  HeadResult head;
  std::size_t read = 0;
  const auto more = [&] {
    const std::string part = vector.octets.substr(read, piece);
    read += part.size();
    return part;
  };
  while (head.state == HeadResult::State::need_more) {
    if (read == vector.octets.size()) return "need_more";
    buffer += more();
    head = request ? parse_request_head(buffer, {}, head.searched)
                   : parse_response_head(buffer, {}, head.searched);
  }
  if (head.state == HeadResult::State::refused) return std::string(refusal_name(head.refusal));
  BodyKind body = BodyKind::none;
  if (request) {
    const auto framing = check_request(head.head);
    if (!framing) return std::string(refusal_name(framing.error()));
    body = framing->body;
  } else {
    const auto framing = check_response(head.head);
    if (!framing) return std::string(refusal_name(framing.error()));
    body = framing->body;
  }
  if (body != BodyKind::chunked) return "ok";
  ChunkedDecoder decoder;
  std::string rest = buffer.substr(head.head.octets());
  while (true) {
    for (std::string_view left = rest; !left.empty() && decoder.state() == ChunkedDecoder::State::reading;)
      left.remove_prefix(decoder.next(left).consumed);
    if (decoder.state() == ChunkedDecoder::State::refused)
      return std::string(refusal_name(decoder.refusal()));
    if (decoder.state() == ChunkedDecoder::State::done) return "ok";
    if (read == vector.octets.size()) return "need_more";
    rest = more();
  }
}

TEST(HttpVectors, EachGivesItsRefusalInWhateverPieces) {
  const auto vectors = test::http_vectors();
  EXPECT_GE(vectors.size(), 140U);
  std::set<std::string> seen;
  for (const auto& vector : vectors) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, vector.octets.size()})
      EXPECT_EQ(outcome(vector, piece), vector.expectation) << vector.name << " in pieces of " << piece;
    seen.insert(vector.expectation);
  }
  for (int i = 1; i < static_cast<int>(Refusal::count_); ++i) {
    const auto refusal = static_cast<Refusal>(i);
    if (refusal == Refusal::too_many_interim) continue;  // of several heads: the session counts them
    EXPECT_TRUE(seen.contains(std::string(refusal_name(refusal))))
        << "no vector for " << refusal_name(refusal);
  }
}

RequestFraming request(const std::string& text) {
  const HeadResult result = parse_request_head(text);
  EXPECT_EQ(result.state, HeadResult::State::complete) << refusal_name(result.refusal);
  return check_request(result.head).value();
}

ResponseFraming response(const std::string& text, bool to_head = false) {
  const HeadResult result = parse_response_head(text);
  EXPECT_EQ(result.state, HeadResult::State::complete) << refusal_name(result.refusal);
  return check_response(result.head, to_head).value();
}

TEST(RequestFraming, BodyEndsByLengthByChunksOrAtOnce) {
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").body, BodyKind::none);
  EXPECT_EQ(request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").body, BodyKind::none);
  const RequestFraming sized =
      request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n");
  EXPECT_EQ(sized.body, BodyKind::length);
  EXPECT_EQ(sized.length, 9223372036854775807U);
  EXPECT_EQ(request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").body,
            BodyKind::chunked);
}

TEST(RequestFraming, ConnectionIsKeptByTheVersionAndItsOptions) {
  EXPECT_TRUE(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
  EXPECT_TRUE(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, ,Close\r\n\r\n").keep_alive);
  EXPECT_FALSE(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: x\r\n\r\n").keep_alive);
  EXPECT_FALSE(request("GET / HTTP/1.0\r\nHost: a\r\n\r\n").keep_alive);
}

TEST(RequestFraming, ExpectCountsWithABodyAndOnOneOne) {
  const std::string rest = "Host: a\r\nExpect: 100-continue\r\nContent-Length: ";
  EXPECT_TRUE(request("POST / HTTP/1.1\r\n" + rest + "5\r\n\r\n").expect_continue);
  EXPECT_FALSE(request("POST / HTTP/1.1\r\n" + rest + "0\r\n\r\n").expect_continue);
  EXPECT_FALSE(request("POST / HTTP/1.0\r\n" + rest + "5\r\n\r\n").expect_continue);
}

TEST(ResponseFraming, SomeStatusesHaveNoBodyWhateverTheFieldsSay) {
  const std::string sized = "\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(response("HTTP/1.1 200 OK" + sized).length, 5U);
  EXPECT_EQ(response("HTTP/1.1 200 OK" + sized, true).body, BodyKind::none);
  EXPECT_EQ(response("HTTP/1.1 304 Not Modified" + sized).body, BodyKind::none);
  EXPECT_TRUE(response("HTTP/1.1 304 Not Modified" + sized).keep_alive);
  EXPECT_EQ(response("HTTP/1.1 204 No Content" + sized).body, BodyKind::none);
  EXPECT_FALSE(response("HTTP/1.1 204 No Content" + sized).keep_alive) << "the five octets may still come";
  EXPECT_TRUE(response("HTTP/1.1 204 No Content\r\n\r\n").keep_alive);
  const ResponseFraming interim = response("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(interim.interim);
  EXPECT_EQ(interim.body, BodyKind::none);
}

TEST(ResponseFraming, WithoutALengthTheConnectionEndsIt) {
  const ResponseFraming open = response("HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(open.body, BodyKind::until_close);
  EXPECT_FALSE(open.keep_alive);
  const ResponseFraming empty = response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(empty.body, BodyKind::none);
  EXPECT_TRUE(empty.keep_alive);
  EXPECT_FALSE(response("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n").keep_alive);
  EXPECT_FALSE(response("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n").keep_alive);
}

TEST(Refusals, StatusSaysWhoseFaultItIs) {
  EXPECT_EQ(refusal_status(Refusal::head_too_large), 431U);
  EXPECT_EQ(refusal_status(Refusal::bad_version), 505U);
  EXPECT_EQ(refusal_status(Refusal::bad_expect), 417U);
  EXPECT_EQ(refusal_status(Refusal::transfer_encoding_not_chunked), 501U);
  EXPECT_EQ(refusal_status(Refusal::obs_fold), 400U);
}

TEST(Target, QueryIsApart) {
  EXPECT_EQ(split_target("/v1/models?a=b?c").path, "/v1/models");
  EXPECT_EQ(split_target("/v1/models?a=b?c").query, "a=b?c");
  EXPECT_EQ(split_target("/v1/models").query, "");
}

}  // namespace
}  // namespace perigee::router
