// Any octets as a stream of events, as a JSON answer and as form data: in whatever pieces they come, the same
// events leave, unchanged and in order, and the same facts are found. Octet 0 chooses the size of the pieces.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "router/multipart_scan.h"
#include "router/sse.h"

namespace perigee::router {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct Passed {
  std::string octets;
  std::size_t data_events = 0;
  bool ended = false;
  bool broken = false;  // nobody reads on
  std::optional<TokenUsage> usage;
};

Passed split(std::string_view stream, std::size_t piece) {
  SseSplitter splitter;
  Passed passed;
  const auto add = [&](const SseRead& read) {
    std::size_t size = 0;
    for (const SseEvent& event : read.events) size += event.octets.size();
    require(size == read.first.size() + read.rest.size(), "events are all that passes");
    passed.octets += read.first;
    passed.octets += read.rest;
    passed.data_events += read.data_events;
    if (read.usage) passed.usage = read.usage;
    passed.broken = read.broken;
  };
  for (std::size_t at = 0; at < stream.size() && !passed.broken; at += piece)
    add(splitter.feed(stream.substr(at, piece)));
  if (!passed.broken) add(splitter.finish());
  passed.ended = splitter.ended();
  return passed;
}

void check_events(std::string_view stream, std::size_t piece) {
  const Passed whole = split(stream, stream.size() + 1);
  const Passed cut = split(stream, piece);
  require(stream.starts_with(whole.octets), "unchanged");
  require(whole.octets == cut.octets, "one split in whatever pieces");
  require(whole.data_events == cut.data_events && whole.ended == cut.ended && whole.broken == cut.broken,
          "one count in whatever pieces");
  require(whole.usage == cut.usage, "one usage in whatever pieces");
}

void check_usage(std::string_view body, std::size_t piece) {
  UsageFinder whole;
  whole.feed(body);
  UsageFinder cut;
  for (std::size_t at = 0; at < body.size(); at += piece) cut.feed(body.substr(at, piece));
  require(whole.usage() == cut.usage(), "one usage in whatever pieces");
  (void)find_usage(body);
  (void)find_response_id(body);
}

void check_form(std::string_view body, std::size_t piece) {
  MultipartScanner whole("b1");
  whole.feed(body);
  whole.finish();
  MultipartScanner cut("b1");
  for (std::size_t at = 0; at < body.size(); at += piece) cut.feed(body.substr(at, piece));
  cut.finish();
  require(whole.fault() == cut.fault() && whole.status() == cut.status(), "one outcome in whatever pieces");
  require(whole.model() == cut.model() && whole.model_range() == cut.model_range(),
          "one model in whatever pieces");
  if (whole.status() != MultipartScanner::Status::complete) return;
  const OctetRange range = whole.model_range();
  require(body.substr(range.begin, range.end - range.begin) == *whole.model(), "its range is where it is");
}

}  // namespace
}  // namespace perigee::router

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 8U;
  const std::string_view octets(reinterpret_cast<const char*>(data) + 1, size - 1);
  perigee::router::check_events(octets, piece);
  perigee::router::check_usage(octets, piece);
  perigee::router::check_form(octets, piece);
  return 0;
}
