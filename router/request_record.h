// What is kept of one request: the session fills it in on the way, and once it is over the access log, the
// metrics and the usage records are made from it. Holds no prompt, no completion and no secret.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "contract/address.h"
#include "contract/units.h"
#include "router/durations.h"
#include "router/openai.h"
#include "router/usage.h"
#include "steering/decision_record.h"

namespace perigee::router {

// How a request ended, as a metric label. Each request has exactly one.
enum class Ending : std::uint8_t {
  completed,        // the endpoint's answer went out whole, whatever its status
  answered_here,    // answered without an endpoint: the list of models
  refused,          // by us, for what the client sent or is allowed
  shed,             // by us, for load or limits
  client_gone,      // the client closed or reset
  client_stalled,   // the client sent or read too slowly
  no_endpoint,      // none may be used
  endpoint_failed,  // before anything went to the client, after all attempts
  timed_out,        // connect, first event, idle or total, before anything went to the client
  broken_off,       // by the endpoint, after something went to the client
  drained,          // by our own drain deadline
  count_,
};
[[nodiscard]] std::string_view name_of(Ending ending);

struct RequestRecord {
  Instant begun;  // the head was read
  Instant sent;   // the last octet to the last endpoint; never: none was sent
  Instant
      first_event;  // first event with data, or first octet of another body, was read; never: there was none
  Instant last_event;  // the same, last
  Instant ended;
  Nanos queued{-1};   // for a place among the service's requests; negative: it needed not wait
  Nanos body_wait{};  // of the time until it was sent: for the client to send its body
  std::chrono::system_clock::time_point wall;  // when it ended

  std::string request_id;
  std::string trace_id;
  IpAddress client;
  std::optional<Operation> operation;  // absent: none of the list
  std::string_view method;             // static text
  std::string key;                     // the id of the API key; empty: none was asked for
  std::string tenant;
  std::string service;
  std::string model;         // as policy names it; empty: unknown
  std::string model_asked;   // as the client wrote it, cut
  std::string model_served;  // as the endpoint calls it
  std::string endpoint;      // the last one tried
  std::string pop;
  std::string region;  // of that endpoint; empty: its PoP has none
  std::string link;
  CostTerms expected;              // of that endpoint, when it was chosen
  Rule rule = Rule::nothing_left;  // that chose it
  bool spilled = false;            // out of a nearer tier
  bool canary = false;
  bool streamed = false;

  unsigned status = 0;  // sent to the client; 0: none
  std::string error;    // code of the error that we answered; empty: none
  std::string_view
      would_refuse;  // static text: the code of the first limit that only watches (shadow) and is passed
  Ending ending = Ending::completed;
  std::uint32_t attempts = 0;
  std::string_view hedge;          // static text: what became of the attempt beside the first; empty: none
  std::string hedge_endpoint;      // of those two attempts, the one that did not answer
  std::uint32_t client_retry = 0;  // x-stainless-retry-count
  std::uint64_t octets_in = 0;
  std::uint64_t octets_out = 0;
  std::uint64_t events = 0;         // with data
  std::optional<TokenUsage> usage;  // as the endpoint said it; absent: it said nothing
  std::uint64_t tokens_prompt = 0;  // the same, or else by the prompt's size and the events that came
  std::uint64_t tokens_completion = 0;
};

// What is counted while a stream runs: a metric that waited for its end would say nothing of long ones.
struct StreamSeries {
  DurationHistogram first_event;  // since the request's head, without the wait for its body
  DurationHistogram gaps;         // between two reads with events
};

// Where the record of a finished request goes.
class RecordSink {
 public:
  // Counts the first event of this request, and gives where its further ones are counted; null: nobody does.
  // It outlives the request.
  virtual StreamSeries* begin_stream(const RequestRecord& /*record*/, Nanos /*first_event*/) {
    return nullptr;
  }
  virtual void take(const RequestRecord& record) = 0;
  // Each choice of an endpoint, when somebody keeps them: making the record costs more than the choice.
  [[nodiscard]] virtual bool wants_decisions() const { return false; }
  virtual void decided(const DecisionRecord& /*record*/) {}

 protected:
  ~RecordSink() = default;
};

}  // namespace perigee::router
