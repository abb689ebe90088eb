// The OpenAI-compatible surface: which requests are served, what errors look like in each API, and the merged
// list of models. Everything outside the allow-list is unknown: engine administration paths are never
// reachable.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "router/http_head.h"

namespace perigee::router {

enum class Operation : std::uint8_t {
  chat,
  completions,
  embeddings,
  responses_create,
  responses_get,
  responses_delete,
  responses_cancel,
  responses_input_items,
  models_list,
  models_get,
  rerank,
  score,
  audio_speech,
  audio_transcriptions,
  audio_translations,
  images_generations,
  images_edits,
  images_variations,
  count_,
};

enum class ApiFamily : std::uint8_t {
  chat,
  completions,
  embeddings,
  responses,
  models,
  rerank,
  score,
  audio,
  images,
};
enum class RequestBody : std::uint8_t { none, json, multipart };
enum class StreamForm : std::uint8_t {
  none,
  chunks,        // unnamed events, ended by [DONE]
  named_events,  // Responses API: typed events, of which response.completed, .incomplete or .failed is the
                 // last
  open_events,   // audio and images: typed events; nothing tells the last one but the end of the body
};

struct OperationInfo {
  std::string_view name;  // "chat", for labels: the enumerator's name
  ApiFamily family = ApiFamily::chat;
  RequestBody body = RequestBody::none;
  StreamForm stream = StreamForm::none;
};
[[nodiscard]] const OperationInfo& operation_info(Operation operation);

struct OperationMatch {
  Operation operation = Operation::chat;
  std::string_view id;  // the path's parameter, a part of `path`: a name or id; empty: it has none
};
// `path` without the query. nullopt: unknown, to be answered with unknown_path().
[[nodiscard]] std::optional<OperationMatch> match_operation(Method method, std::string_view path);

// An answer of our own. Strings need not be escaped; they must not hold prompts or completions.
struct ApiError {
  unsigned status = 500;
  std::string_view type;   // "invalid_request_error", "server_error", ...; empty: by the status
  std::string_view code;   // empty: null
  std::string_view param;  // empty: null
  std::string message;
  std::optional<std::chrono::milliseconds> retry_after;  // Retry-After (rounded up) and retry-after-ms
  std::optional<bool> should_retry;                      // x-should-retry, which the SDKs obey
};
[[nodiscard]] std::string_view error_type(unsigned status);
[[nodiscard]] ApiError unknown_path(Method method);            // 404
[[nodiscard]] ApiError unknown_model(std::string_view model);  // 404, model_not_found
[[nodiscard]] ApiError unknown_response(std::string_view id,
                                        std::string_view param);  // 404, response_not_found
// An operation on one earlier response, by its id in the path.
[[nodiscard]] bool is_by_response_id(Operation operation);

[[nodiscard]] std::string error_body(const ApiError& error);  // {"error": {...}}
// Header lines of the error, each with CRLF; empty when it has none.
[[nodiscard]] std::string error_fields(const ApiError& error);
// One event that ends a stream after its status was sent: SDKs raise it. StreamForm::none gives "".
[[nodiscard]] std::string error_event(StreamForm form, const ApiError& error);

}  // namespace perigee::router
