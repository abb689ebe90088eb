#include "router/header_rules.h"

#include <gtest/gtest.h>

namespace perigee::router {
namespace {

Head request(const std::string& fields) {
  HeadResult result =
      parse_request_head("POST /v1/chat/completions HTTP/1.1\r\nHost: client-side\r\n" + fields + "\r\n");
  EXPECT_EQ(result.state, HeadResult::State::complete);
  return std::move(result.head);
}

Head response(const std::string& fields) {
  HeadResult result = parse_response_head("HTTP/1.1 200 Fine\r\n" + fields + "\r\n");
  EXPECT_EQ(result.state, HeadResult::State::complete);
  return std::move(result.head);
}

EndpointRequestHead post() {
  EndpointRequestHead head;
  head.method = "POST";
  head.target = "/v1/chat/completions";
  head.host = "gpu-1:8000";
  head.body = BodyKind::length;
  head.length = 13;
  return head;
}

TEST(RequestRules, OnlyTheAllowListCrosses) {
  const Head client = request(
      "Authorization: Bearer client-secret\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: "
      "for=1.2.3.4\r\n"
      "X-Real-IP: 1.2.3.4\r\nVia: 1.1 x\r\nx-gateway-destination-endpoint: 10.0.0.1:80\r\nTE: trailers\r\n"
      "Keep-Alive: timeout=5\r\nProxy-Authorization: Basic x\r\nTransfer-Encoding: "
      "chunked\r\nAccept-Encoding: gzip\r\n"
      "OpenAI-Organization: org\r\nUser-Agent: sdk\r\nExpect: 100-continue\r\nX-Stainless-Lang: js\r\n"
      "X-Request-Id: from-client\r\ntraceparent: from-client\r\nendpoint-load-metrics-format: text\r\n"
      "ACCEPT: text/event-stream\r\ncontent-type: application/json\r\nIdempotency-Key: k\r\nOpenAI-Beta: "
      "b\r\n"
      "TraceState: v=1\r\nBaggage: c=d\r\n");
  EndpointRequestHead head = post();
  head.authorization = "Bearer endpoint-secret";
  head.request_id = "id-1";
  head.traceparent = "00-t";
  std::string out;
  write_request_head(out, head, client);
  EXPECT_EQ(out,
            "POST /v1/chat/completions HTTP/1.1\r\nHost: gpu-1:8000\r\nContent-Length: 13\r\n"
            "Authorization: Bearer endpoint-secret\r\nx-request-id: id-1\r\ntraceparent: 00-t\r\n"
            "accept: text/event-stream\r\ncontent-type: application/json\r\nidempotency-key: "
            "k\r\nopenai-beta: b\r\n"
            "tracestate: v=1\r\nbaggage: c=d\r\n\r\n");
}

TEST(RequestRules, WhatConnectionNamesIsForUsOnly) {
  const Head client = request(
      "Connection: close, BAGGAGE ,x\r\nConnection:\ttracestate\r\nBaggage: c=d\r\nTracestate: v=1\r\n"
      "Accept: */*\r\n");
  std::string out;
  write_request_head(out, post(), client);
  EXPECT_EQ(
      out,
      "POST /v1/chat/completions HTTP/1.1\r\nHost: gpu-1:8000\r\nContent-Length: 13\r\naccept: */*\r\n\r\n");
}

TEST(RequestRules, FramingIsOurs) {
  EndpointRequestHead head = post();
  head.body = BodyKind::chunked;
  head.keep_alive = false;
  std::string out;
  write_request_head(out, head, request("Content-Length: 99\r\n"));
  EXPECT_EQ(out,
            "POST /v1/chat/completions HTTP/1.1\r\nHost: gpu-1:8000\r\nTransfer-Encoding: "
            "chunked\r\nConnection: close\r\n\r\n");
  head = post();
  head.body = BodyKind::none;
  out.clear();
  write_request_head(out, head, request(""));
  EXPECT_NE(out.find("Content-Length: 0\r\n"), std::string::npos);
  head.method = "GET";
  out.clear();
  write_request_head(out, head, request(""));
  EXPECT_EQ(out.find("Content-Length"), std::string::npos);
}

TEST(RequestRules, WhatIsWrittenIsAdmittedByOurOwnChecks) {
  std::string out;
  write_request_head(out, post(), request("Accept: a\r\n"));
  const HeadResult again = parse_request_head(out);
  ASSERT_EQ(again.state, HeadResult::State::complete);
  EXPECT_EQ(check_request(again.head)->length, 13U);
}

TEST(ResponseRules, OnlyTheAllowListCrosses) {
  const Head endpoint = response(
      "Server: uvicorn\r\nSet-Cookie: a=b\r\nX-Request-Id: endpoint\r\nx-ratelimit-limit-requests: "
      "1\r\nAlt-Svc: h3\r\n"
      "Location: http://10.0.0.1/\r\nendpoint-load-metrics: TEXT a=1\r\nConnection: "
      "keep-alive\r\nContent-Length: 7\r\n"
      "Retry-After: 9\r\nContent-Type: application/json\r\nContent-Encoding: identity\r\nDate: now\r\n"
      "OpenAI-Processing-Ms: 5\r\nOpenAI-Version: v\r\nContent-Disposition: inline\r\n");
  ClientResponseHead head;
  head.body = BodyKind::length;
  head.length = 7;
  head.request_id = "id-1";
  head.more_fields = "x-served-by: mel-1\r\n";
  std::string out;
  write_response_head(out, head, endpoint);
  EXPECT_EQ(out,
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nx-request-id: id-1\r\nx-served-by: mel-1\r\n"
            "content-type: application/json\r\ncontent-encoding: identity\r\ndate: "
            "now\r\nopenai-processing-ms: 5\r\n"
            "openai-version: v\r\ncontent-disposition: inline\r\n\r\n");
}

TEST(ResponseRules, StreamsAreNotHeldBackByProxies) {
  ClientResponseHead head;
  head.body = BodyKind::chunked;
  head.event_stream = true;
  head.keep_alive = false;
  std::string out;
  write_response_head(out, head, response("Content-Type: text/event-stream\r\nCache-Control: max-age=9\r\n"));
  EXPECT_EQ(
      out,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nCache-Control: no-cache\r\n"
      "X-Accel-Buffering: no\r\ncontent-type: text/event-stream\r\n\r\n");
}

TEST(ResponseRules, AnswersOfOurOwn) {
  ClientResponseHead head;
  head.status = 503;
  std::string out;
  write_response_head(out, head, "application/json");
  EXPECT_EQ(
      out, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\ncontent-type: application/json\r\n\r\n");
  head.status = 204;
  out.clear();
  write_response_head(out, head, "");
  EXPECT_EQ(out, "HTTP/1.1 204 No Content\r\n\r\n");
  head.status = 299;
  head.body = BodyKind::until_close;
  head.keep_alive = false;
  out.clear();
  write_response_head(out, head, "");
  EXPECT_EQ(out, "HTTP/1.1 299 \r\nConnection: close\r\n\r\n");
}

}  // namespace
}  // namespace perigee::router
