#include "router/sse.h"

#include <gtest/gtest.h>

#include <string>

namespace perigee::router {
namespace {

struct Seen {
  std::string passed;  // what went out, over all reads
  std::vector<std::string> events;
  std::vector<SseKind> kinds;
  std::optional<TokenUsage> usage;
  std::size_t data_events = 0;
  bool ended = false;
};

void add(Seen& seen, const SseRead& read) {
  seen.passed += read.first;
  seen.passed += read.rest;
  std::string joined;
  for (const SseEvent& event : read.events) {
    joined += event.octets;
    seen.events.emplace_back(event.octets);
    seen.kinds.push_back(event.kind);
  }
  EXPECT_EQ(joined, std::string(read.first) + std::string(read.rest)) << "the events are all that passes";
  if (read.usage) seen.usage = read.usage;
  seen.data_events += read.data_events;
}

Seen read_in_pieces(std::string_view stream, std::size_t piece) {
  SseSplitter splitter;
  Seen seen;
  for (std::size_t at = 0; at < stream.size(); at += piece)
    add(seen, splitter.feed(std::string(stream.substr(at, piece))));
  add(seen, splitter.finish());
  seen.ended = splitter.ended();
  return seen;
}

SseEvent only(const std::string& stream) {
  static SseSplitter splitter;
  splitter = SseSplitter();
  static std::string kept;
  kept = stream;
  const SseRead read = splitter.feed(kept);
  EXPECT_EQ(read.events.size(), 1U) << stream;
  return read.events.empty() ? SseEvent{} : read.events[0];
}

TEST(SseSplitter, EveryCompleteEventLeavesInItsRead) {
  SseSplitter splitter;
  const std::string stream = "data: {\"a\":1}\n\n: hi\n\ndata: {\"b\":";
  const SseRead read = splitter.feed(stream);
  EXPECT_EQ(read.first, "");
  EXPECT_EQ(read.rest.data(), stream.data()) << "not copied";
  EXPECT_EQ(read.rest, "data: {\"a\":1}\n\n: hi\n\n");
  ASSERT_EQ(read.events.size(), 2U);
  EXPECT_EQ(read.events[0].kind, SseKind::data);
  EXPECT_EQ(read.events[1].kind, SseKind::comment);
  EXPECT_EQ(read.data_events, 1U);
  EXPECT_EQ(splitter.tail_octets(), 11U);
  const SseRead next = splitter.feed("2}\n\ndata: [DONE]\n\n");
  EXPECT_EQ(next.first, "data: {\"b\":2}\n\n");
  EXPECT_EQ(next.rest, "data: [DONE]\n\n");
  EXPECT_EQ(next.events[1].kind, SseKind::done);
  EXPECT_TRUE(splitter.ended());
  EXPECT_EQ(splitter.tail_octets(), 0U);
}

TEST(SseSplitter, AnyLineEndsInAnyPiecesPassUnchanged) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    const std::string one = "event: x" + end + "data: {\"a\":\"é\"}" + end + end;
    const std::string done = "data: [DONE]" + end + end;
    const std::string stream =
        one + ":" + end + end + one + "data: [\"split\"," + end + "data: 2]" + end + end + done;
    for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
      const Seen seen = read_in_pieces(stream, piece);
      EXPECT_EQ(seen.passed, stream) << piece;
      EXPECT_EQ(seen.data_events, 3U) << piece;
      EXPECT_TRUE(seen.ended) << piece;
    }
    const Seen whole = read_in_pieces(stream, stream.size());
    ASSERT_EQ(whole.events.size(), 5U);
    EXPECT_EQ(whole.events[0], one);
    EXPECT_EQ(whole.events[4], done);
  }
}

TEST(SseSplitter, MixedLineEndsEndAnEventToo) {
  EXPECT_EQ(read_in_pieces("data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n: d\n\n", 999).events,
            (std::vector<std::string>{"data: 1\r\n\n", "data: 2\n\r\n", "data: 3\r\r\n", ": d\n\n"}));
}

TEST(SseSplitter, AByteOrderMarkHidesNothing) {
  EXPECT_EQ(only("\xef\xbb\xbf"
                 "data: [DONE]\n\n")
                .kind,
            SseKind::done);
}

TEST(SseSplitter, AnIncompleteEventNeverLeaves) {
  const Seen seen = read_in_pieces("data: {\"a\":1}\n\ndata: {\"b\":", 5);
  EXPECT_EQ(seen.passed, "data: {\"a\":1}\n\n");
  EXPECT_FALSE(seen.ended);
}

TEST(SseSplitter, OnlyTheLastEventMayLackItsBlankLine) {
  for (const std::string end : {"data: [DONE]", "data: [DONE]\n", "data:[DONE]\r\n"}) {
    const Seen seen = read_in_pieces("data: {}\n\n" + end, 3);
    EXPECT_EQ(seen.passed, "data: {}\n\n" + end);
    EXPECT_TRUE(seen.ended);
  }
}

TEST(SseSplitter, WhatIsTooLargeToBeHeldPassesInParts) {
  const std::string filler(3 * kMaxEventTail, 'x');
  const std::string completed =
      "event: response.completed\r\ndata: {\"type\":\"response.completed\",\"response\":"
      "{\"id\":\"r\",\"instructions\":\"" +
      filler +
      "\",\"metadata\":{\"usage\":{\"input_tokens\":1}},"
      "\"usage\":{\"input_tokens\":7,\"output_tokens\":2}}}\r\n\r\n";
  const std::string image = "data: {\"b64_json\":\"" + filler + "\"}\n\n";
  const std::string comment = ": " + filler + "\n\n";
  const std::string stream = "data: {\"a\":1}\n\n" + image + comment + ": hi\n\n" + completed;
  for (const std::size_t piece : {std::size_t{1000}, kMaxEventTail - 1, kMaxEventTail}) {
    const Seen seen = read_in_pieces(stream, piece);
    EXPECT_TRUE(seen.passed == stream) << "unchanged, in pieces of " << piece;
    EXPECT_EQ(seen.data_events, 3U);
    EXPECT_TRUE(seen.ended);
    EXPECT_EQ(seen.usage, (TokenUsage{7, 2, 0, 0})) << "of the answer, not what its client sent";
  }
}

TEST(SseSplitter, NoMoreThanTheBoundWaits) {
  SseSplitter splitter;
  EXPECT_EQ(splitter.feed("data: 1\n\ndata: \"" + std::string(kMaxEventTail - 7, 'x')).rest, "data: 1\n\n");
  EXPECT_EQ(splitter.tail_octets(), kMaxEventTail);
  EXPECT_FALSE(splitter.amid_event());
  EXPECT_EQ(splitter.feed("x").first.size(), kMaxEventTail + 1);
  EXPECT_TRUE(splitter.amid_event());
  EXPECT_EQ(splitter.tail_octets(), 0U);
  EXPECT_EQ(splitter.feed("x").rest, "x") << "nothing of it waits any more";
  EXPECT_TRUE(splitter.finish().events.empty()) << "its end is not to be known";
  const SseRead end = splitter.feed("\"\n\ndata: [DO");
  EXPECT_EQ(end.rest, "\"\n\n");
  EXPECT_EQ(end.events[0].kind, SseKind::part);
  EXPECT_FALSE(splitter.amid_event());
  EXPECT_EQ(splitter.tail_octets(), 9U);
}

TEST(SseEvents, ErrorsAreKnownInEveryForm) {
  for (const char* event :
       {"data: {\"error\":{\"message\":\"m\"}}\n\n", "data:{\"id\":1, \"error\" : \"m\"}\n\n",
        "event: error\ndata: {\"message\":\"m\"}\n\n",
        "event: response.failed\ndata: {\"type\":\"response.failed\"}\n\n",
        "data: {\"type\":\"response.failed\",\"response\":{\"error\":{}}}\n\n"})
    EXPECT_EQ(only(event).kind, SseKind::error) << event;
  for (const char* event :
       {"data: {\"error\":null,\"choices\":[{}]}\n\n", "data: {\"choices\":[{\"error\":{}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\": 1\"}}]}\n\n",
        "event: response.created\ndata: {\"response\":{\"error\":null}}\n\n"})
    EXPECT_EQ(only(event).kind, SseKind::data) << event;
  EXPECT_TRUE(only("event: response.failed\ndata: {}\n\n").last);
  EXPECT_FALSE(only("event: error\ndata: {}\n\n").last);
}

TEST(SseEvents, TheUsageEventIsToldApart) {
  const std::string usage = R"("usage":{"prompt_tokens":3,"completion_tokens":4})";
  for (const std::string choices : {"[]", "null", "[ ]"})
    EXPECT_EQ(only("data: {\"id\":\"x\",\"choices\":" + choices + "," + usage + "}\n\n").kind, SseKind::usage)
        << choices;
  // llama.cpp: in the chunk that finishes.
  EXPECT_EQ(only("data: {\"choices\":[{\"finish_reason\":\"stop\"}]," + usage + "}\n\n").kind, SseKind::data);
  EXPECT_EQ(only("data: {\"choices\":[],\"usage\":null}\n\n").kind, SseKind::data) << "vLLM's first chunk";
  EXPECT_EQ(read_in_pieces(
                "data: {\"choices\":[{}]," + usage + "}\n\ndata: {\"choices\":[{}],\"usage\":null}\n\n", 9)
                .usage,
            (TokenUsage{3, 4, 0, 0}));
}

TEST(SseEvents, NamedStreamsEndByTheirEvents) {
  const std::string completed =
      "event: response.completed\ndata: "
      "{\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"usage\":"
      "{\"input_tokens\":3,\"output_tokens\":4}}}\n\n";
  const Seen seen = read_in_pieces(completed, 999);
  EXPECT_TRUE(seen.ended);
  EXPECT_EQ(seen.kinds[0], SseKind::data);
  EXPECT_EQ(seen.usage, (TokenUsage{3, 4, 0, 0}));
  EXPECT_TRUE(only("event: response.incomplete\ndata: {}\n\n").last);
  EXPECT_TRUE(only("data: {\"type\":\"transcript.text.done\",\"text\":\"a\"}\n\n").last);
  EXPECT_FALSE(only("event: response.output_text.done\ndata: {}\n\n").last);
}

TEST(SseEvents, DataThatIsNoJsonIsCutOffWithAllThatFollows) {
  const std::string good = "data: {\"a\":1}\n\n";
  for (const std::string bad :
       {"data: {\"a\":\n\n", "data: hello\n\n", "data: {\"a\":1}\ndata: {\"b\":1}\n\n", "data\ndata\n\n"}) {
    for (std::size_t cut = 0; cut <= good.size() + bad.size(); ++cut) {
      const std::string stream = good + bad + good;
      SseSplitter splitter;
      std::string passed;
      bool broken = false;
      for (const std::string_view piece :
           {std::string_view(stream).substr(0, cut), std::string_view(stream).substr(cut)}) {
        const SseRead read = splitter.feed(piece);
        passed.append(read.first).append(read.rest);
        broken = broken || read.broken;
        if (broken) break;
      }
      EXPECT_TRUE(broken) << bad << cut;
      EXPECT_EQ(passed, good) << bad << cut;
    }
  }
}

TEST(SseEvents, WithoutDataThereIsNothingForTheApplication) {
  for (const char* event : {": keep-alive\n\n", "\n", "event: ping\n\n", "retry: 10\n\n", "database: x\n\n",
                            "data\n\n", "data: \n\n"})
    EXPECT_EQ(only(event).kind, SseKind::comment) << event;
  EXPECT_EQ(event_data("id: 1\ndata:  x\n\n"), " x");
}

}  // namespace
}  // namespace perigee::router
