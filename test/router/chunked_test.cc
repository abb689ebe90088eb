// What passes the decoder; what is refused is in test/vectors/http (http_framing_test).
#include "router/chunked.h"

#include <gtest/gtest.h>

#include <string>

namespace perigee::router {
namespace {

struct Decoded {
  std::string payload;
  std::size_t consumed = 0;
  ChunkedDecoder::State state = ChunkedDecoder::State::reading;
};

Decoded decode(std::string_view text, std::size_t piece) {
  ChunkedDecoder decoder;
  Decoded out;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    std::string_view part = text.substr(at, piece);
    while (!part.empty() && decoder.state() == ChunkedDecoder::State::reading) {
      const auto step = decoder.next(part);
      out.payload += step.payload;
      out.consumed += step.consumed;
      part.remove_prefix(step.consumed);
    }
  }
  out.state = decoder.state();
  return out;
}

TEST(ChunkedDecoder, GivesThePayloadAndStopsAtItsEnd) {
  const std::string body = "5\r\nhello\r\n00A;name=\"x;y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n";
  for (std::size_t piece = 1; piece <= body.size() + 4; ++piece) {
    const Decoded out = decode(body + "NEXT", piece);
    EXPECT_EQ(out.payload, "hello0123456789");
    EXPECT_EQ(out.consumed, body.size()) << "what follows is the next message";
    EXPECT_EQ(out.state, ChunkedDecoder::State::done);
  }
}

TEST(ChunkedDecoder, PayloadIsAPartOfTheInput) {
  const std::string input = "5\r\nhello\r\n";
  ChunkedDecoder decoder;
  EXPECT_EQ(decoder.next(input).payload.data(), input.data() + 3);
}

TEST(ChunkedDecoder, LimitsAreExact) {
  EXPECT_EQ(decode("1;" + std::string(kMaxChunkExtension, 'a') + "\r\nx\r\n0\r\n\r\n", 64).state,
            ChunkedDecoder::State::done);
  // The last CRLF of the trailers counts as well.
  const auto trailers = [](std::size_t octets) {
    return "0\r\nA:" + std::string(octets - 6, 'b') + "\r\n\r\n";
  };
  EXPECT_EQ(decode(trailers(kMaxDroppedOctets), 4096).state, ChunkedDecoder::State::done);
  EXPECT_EQ(decode(trailers(kMaxDroppedOctets + 1), 4096).state, ChunkedDecoder::State::refused);
  EXPECT_EQ(decode("fffffffffffffff\r\nx", 64).payload, "x") << "a size below 2^60 is only large";
}

TEST(ChunkPrefix, IsWhatTheDecoderReads) {
  for (const std::size_t size : {1UL, 15UL, 16UL, 4096UL, 70'000UL}) {
    const ChunkPrefix prefix(size);
    const std::string payload(size, 'x');
    const Decoded out =
        decode(std::string(prefix.view()) + payload + std::string(kChunkEnd) + std::string(kLastChunk), 999);
    EXPECT_EQ(out.payload, payload);
    EXPECT_EQ(out.state, ChunkedDecoder::State::done);
  }
  EXPECT_EQ(ChunkPrefix(~std::size_t{0}).view(), "ffffffffffffffff\r\n");
}

}  // namespace
}  // namespace perigee::router
