#include "router/openai.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace perigee::router {
namespace {

std::string matched(Method method, std::string_view path) {
  const auto match = match_operation(method, path);
  if (!match) return "unknown";
  return std::string(operation_info(match->operation).name) +
         (match->id.empty() ? "" : " " + std::string(match->id));
}

TEST(Operations, TheAllowListIsServed) {
  EXPECT_EQ(matched(Method::post, "/v1/chat/completions"), "chat");
  EXPECT_EQ(matched(Method::post, "/v1/completions"), "completions");
  EXPECT_EQ(matched(Method::post, "/v1/embeddings"), "embeddings");
  EXPECT_EQ(matched(Method::post, "/v1/responses"), "responses_create");
  EXPECT_EQ(matched(Method::get, "/v1/responses/resp_1"), "responses_get resp_1");
  EXPECT_EQ(matched(Method::delete_, "/v1/responses/resp_1"), "responses_delete resp_1");
  EXPECT_EQ(matched(Method::post, "/v1/responses/resp_1/cancel"), "responses_cancel resp_1");
  EXPECT_EQ(matched(Method::get, "/v1/responses/resp_1/input_items"), "responses_input_items resp_1");
  EXPECT_EQ(matched(Method::get, "/v1/models"), "models_list");
  EXPECT_EQ(matched(Method::get, "/v1/models/org/llama-70b"), "models_get org/llama-70b");
  EXPECT_EQ(matched(Method::post, "/v1/rerank"), "rerank");
  EXPECT_EQ(matched(Method::post, "/v1/score"), "score");
  EXPECT_EQ(matched(Method::post, "/v1/audio/transcriptions"), "audio_transcriptions");
  EXPECT_EQ(matched(Method::post, "/v1/images/edits"), "images_edits");
}

TEST(Operations, AllElseIsUnknown) {
  for (const char* path :
       {"/", "", "/v1", "/v1/", "/v1/chat/completions/", "/v1/chat", "/V1/chat/completions",
        "/v1/chat/completionsx", "/metrics", "/health", "/v1/load_lora_adapter", "/sleep", "/tokenize",
        "/v1/responses/", "/v1/responses//cancel", "/v1/responses/a/b/cancel", "/v1/files", "/collective_rpc",
        "/reset_prefix_cache"})
    for (const Method method : {Method::get, Method::post, Method::put, Method::delete_, Method::other})
      EXPECT_EQ(matched(method, path), "unknown") << path;
  EXPECT_EQ(matched(Method::get, "/v1/chat/completions"), "unknown");
  EXPECT_EQ(matched(Method::head, "/v1/models"), "unknown");
  EXPECT_EQ(matched(Method::get, "/v1/models/"), "unknown");
  EXPECT_EQ(matched(Method::get, "/v1/responses/a/b"), "unknown");
  EXPECT_EQ(matched(Method::post, "/v1/responses/resp_1"), "unknown");
  EXPECT_EQ(matched(Method::get, "/v1/responses/resp_1/cancel"), "unknown");
}

TEST(Operations, SayWhatTheirBodiesAre) {
  EXPECT_EQ(operation_info(Operation::audio_transcriptions).body, RequestBody::multipart);
  EXPECT_EQ(operation_info(Operation::chat).stream, StreamForm::chunks);
  EXPECT_EQ(operation_info(Operation::responses_create).stream, StreamForm::named_events);
  EXPECT_EQ(operation_info(Operation::models_get).body, RequestBody::none);
  EXPECT_EQ(operation_info(Operation::images_variations).name, "images_variations");
}

TEST(Errors, HaveTheShapeThatSdksRead) {
  ApiError error;
  error.status = 429;
  error.message = "Say \"when\".\n";
  error.code = "rate_limit_exceeded";
  EXPECT_EQ(error_body(error),
            R"({"error":{"message":"Say \"when\".\u000a","type":"rate_limit_error","param":null,)"
            R"("code":"rate_limit_exceeded"}})");
  error.type = "tokens";
  error.param = "model";
  const auto inner = boost::json::parse(error_body(error)).at("error").as_object();
  EXPECT_EQ(inner.at("type").as_string(), "tokens");
  EXPECT_EQ(inner.at("param").as_string(), "model");
}

TEST(Errors, TypesFollowTheStatus) {
  EXPECT_EQ(error_type(400), "invalid_request_error");
  EXPECT_EQ(error_type(401), "authentication_error");
  EXPECT_EQ(error_type(403), "permission_error");
  EXPECT_EQ(error_type(404), "invalid_request_error");
  EXPECT_EQ(error_type(429), "rate_limit_error");
  EXPECT_EQ(error_type(503), "server_error");
}

TEST(Errors, TellClientsWhetherAndWhenToRetry) {
  ApiError error;
  EXPECT_EQ(error_fields(error), "");
  error.retry_after = std::chrono::milliseconds(1001);
  error.should_retry = true;
  EXPECT_EQ(error_fields(error), "Retry-After: 2\r\nretry-after-ms: 1001\r\nx-should-retry: true\r\n");
  error.retry_after.reset();
  error.should_retry = false;
  EXPECT_EQ(error_fields(error), "x-should-retry: false\r\n");
}

TEST(Errors, InAStreamTheyAreOneEventOfThatApi) {
  ApiError error;
  error.status = 502;
  error.code = "endpoint_lost";
  error.message = "gone";
  EXPECT_EQ(error_event(StreamForm::none, error), "");
  const std::string chunk = error_event(StreamForm::chunks, error);
  EXPECT_EQ(chunk, "data: " + error_body(error) + "\n\n");
  const std::string named = error_event(StreamForm::named_events, error);
  const std::string before = "event: error\ndata: ";
  ASSERT_TRUE(named.starts_with(before) && named.ends_with("\n\n")) << named;
  const auto data = boost::json::parse(named.substr(before.size()));
  EXPECT_EQ(data.at("type").as_string(), "error");
  EXPECT_EQ(data.at("code").as_string(), "endpoint_lost");
  EXPECT_EQ(data.at("error").at("message").as_string(), "gone");
  EXPECT_EQ(named.find('\n', before.size()), named.size() - 2) << "one line of data";
}

TEST(Errors, WhatAClientSentIsCutAndMadePrintable) {
  EXPECT_EQ(unknown_path(Method::post).status, 404U);
  const ApiError error = unknown_model(std::string("a\n\xff") + std::string(1000, 'b'));
  EXPECT_EQ(error.status, 404U);
  EXPECT_EQ(error.code, "model_not_found");
  EXPECT_LT(error.message.size(), 160U);
  EXPECT_NE(error.message.find("`a??b"), std::string::npos);
}

}  // namespace
}  // namespace perigee::router
