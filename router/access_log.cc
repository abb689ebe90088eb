#include "router/access_log.h"

#include "router/json_line.h"

namespace perigee::router {

void append_access_line(std::string& out, const RequestRecord& record) {
  JsonLine line(out);
  line.time("time", record.wall);
  line.text("request_id", record.request_id);
  line.text("trace_id", record.trace_id);
  line.text("client", record.client.text());
  line.text("key", record.key);
  line.text("tenant", record.tenant);
  line.text("service", record.service);
  if (record.operation) line.text("operation", operation_info(*record.operation).name);
  line.text("model", record.model);
  if (record.model_asked != record.model) line.text("model_asked", record.model_asked);
  if (record.model_served != record.model) line.text("model_served", record.model_served);
  line.text("endpoint", record.endpoint);
  line.text("pop", record.pop);
  line.text("link", record.link);
  if (record.canary) line.flag("canary");
  if (record.streamed) line.flag("streamed");
  line.number("status", record.status);
  line.text("ending", name_of(record.ending));
  line.text("error", record.error);
  line.text("would_refuse", record.would_refuse);
  line.number("attempts", record.attempts);
  line.text("hedge", record.hedge);
  line.text("hedge_endpoint", record.hedge_endpoint);
  if (record.client_retry > 0) line.number("client_retry", record.client_retry);
  line.span("total_ms", record.begun, record.ended);
  if (record.queued >= Nanos(0)) line.span("queued_ms", record.begun, record.begun + record.queued);
  line.span("sent_ms", record.begun, record.sent);
  line.span("first_event_ms", record.begun, record.first_event);
  line.span("last_event_ms", record.begun, record.last_event);
  if (record.attempts > 0) {
    if (record.expected.network) line.duration("expected_network_ms", *record.expected.network);
    line.duration("expected_wait_ms", record.expected.wait);
    line.duration("expected_service_ms", record.expected.service);
  }
  line.number("octets_in", record.octets_in);
  line.number("octets_out", record.octets_out);
  if (record.streamed) line.number("events", record.events);
  if (record.usage) {
    line.number("prompt_tokens", record.usage->prompt);
    line.number("completion_tokens", record.usage->completion);
    line.number("cached_tokens", record.usage->cached);
    line.number("reasoning_tokens", record.usage->reasoning);
  }
  line.end();
}

}  // namespace perigee::router
