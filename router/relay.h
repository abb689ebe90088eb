// The answer on its way from an endpoint to the client. Nothing goes out before the first event or octet of
// the body is there; from then on all that is complete goes out in the turn it came in, unchanged.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "router/exchange.h"
#include "router/http_framing.h"
#include "router/openai.h"
#include "router/request_record.h"
#include "router/response_ids.h"
#include "router/sse.h"
#include "router/usage.h"

namespace perigee::router {

class Relay {
 public:
  Relay(Exchange& exchange, RequestRecord& record, RecordSink& sink, StreamForm form)
      : exchange_(exchange), record_(record), sink_(sink), form_(form) {}

  // The answer of an endpoint begins. `strip_usage`: an event that only reports usage is ours, not the
  // client's. `fields`: lines of ours. Both views outlive the relaying.
  void begin(const Head& head, const ResponseFraming& framing, bool strip_usage, std::string_view fields);
  // The id that this answer gives is to be learned, before the client has it.
  void bind(const ResponseBinding& binding);
  // A comment, so that nobody on the way to the client takes the stream for dead. It commits: should no head
  // of an endpoint be there yet, the answer begins with one of ours and `fields`.
  void keep_alive(std::string_view fields);
  // Whether the answer that began with our own head can go on with the endpoint's.
  [[nodiscard]] static bool continues(const Head& head);
  // A piece of the body. False: it cannot be relayed (fault()).
  [[nodiscard]] bool put(std::string_view payload, Instant now);
  // The last piece, which may be empty: the body has ended. False: it lacks the end that its API promises
  // (fault()).
  [[nodiscard]] bool finish(std::string_view payload, Instant now);
  // The endpoint broke off after something went out: the client is told as far as the form allows.
  void break_off(const ApiError& error);
  // Takes back what begin() prepared, for another attempt; only while nothing was committed.
  void forget();

  // Something went to the client: the attempt is the last one.
  [[nodiscard]] bool committed() const { return committed_; }
  [[nodiscard]] bool event_stream() const { return splitter_.has_value(); }
  [[nodiscard]] bool has_event() const { return !record_.first_event.never(); }
  [[nodiscard]] std::string_view fault() const { return fault_; }  // static text
  [[nodiscard]] bool bad_data() const { return bad_data_; }  // the fault: an event that no client could read

 private:
  void put_events(const SseRead& read, bool last, Instant now);
  void note_bad_data();
  void learn(std::string_view id, Instant now);
  void note(Instant now, std::uint64_t events);
  void commit();

  Exchange& exchange_;
  RequestRecord& record_;
  RecordSink& sink_;
  StreamSeries* series_ = nullptr;  // from the first event on
  const StreamForm form_;
  const Head* head_ = nullptr;
  ResponseFraming framing_;
  bool strip_usage_ = false;
  ResponseBinding binding_;
  std::string_view fields_;
  std::optional<SseSplitter> splitter_;
  UsageFinder finder_;
  std::string withheld_;  // complete events before the first one with data
  std::string_view fault_;
  bool bad_data_ = false;
  bool committed_ = false;
  bool own_head_ = false;  // the answer began before an endpoint's did
};

}  // namespace perigee::router
