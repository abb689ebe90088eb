#include "router/openai.h"

#include <algorithm>
#include <array>

#include "router/json_scan.h"

namespace perigee::router {
namespace {

constexpr std::array kOperations = {
    OperationInfo{"chat", ApiFamily::chat, RequestBody::json, StreamForm::chunks},
    OperationInfo{"completions", ApiFamily::completions, RequestBody::json, StreamForm::chunks},
    OperationInfo{"embeddings", ApiFamily::embeddings, RequestBody::json, StreamForm::none},
    OperationInfo{"responses_create", ApiFamily::responses, RequestBody::json, StreamForm::named_events},
    OperationInfo{"responses_get", ApiFamily::responses, RequestBody::none, StreamForm::named_events},
    OperationInfo{"responses_delete", ApiFamily::responses, RequestBody::none, StreamForm::none},
    OperationInfo{"responses_cancel", ApiFamily::responses, RequestBody::none, StreamForm::none},
    OperationInfo{"responses_input_items", ApiFamily::responses, RequestBody::none, StreamForm::none},
    OperationInfo{"models_list", ApiFamily::models, RequestBody::none, StreamForm::none},
    OperationInfo{"models_get", ApiFamily::models, RequestBody::none, StreamForm::none},
    OperationInfo{"rerank", ApiFamily::rerank, RequestBody::json, StreamForm::none},
    OperationInfo{"score", ApiFamily::score, RequestBody::json, StreamForm::none},
    OperationInfo{"audio_speech", ApiFamily::audio, RequestBody::json, StreamForm::open_events},
    OperationInfo{"audio_transcriptions", ApiFamily::audio, RequestBody::multipart, StreamForm::open_events},
    OperationInfo{"audio_translations", ApiFamily::audio, RequestBody::multipart, StreamForm::none},
    OperationInfo{"images_generations", ApiFamily::images, RequestBody::json, StreamForm::open_events},
    OperationInfo{"images_edits", ApiFamily::images, RequestBody::multipart, StreamForm::open_events},
    OperationInfo{"images_variations", ApiFamily::images, RequestBody::multipart, StreamForm::none},
};
static_assert(kOperations.size() == static_cast<std::size_t>(Operation::count_));

constexpr std::size_t kMaxShown = 64;  // of a client's name or id in a message

enum class Parameter : std::uint8_t { none, name, id };  // a name may hold slashes, an id is one segment

struct Template {
  Method method;
  std::string_view before;  // the path up to its parameter, or all of it
  Parameter parameter;
  Operation operation;
  std::string_view after = {};
};
constexpr std::string_view kResponse = "/v1/responses/";
constexpr std::array kTemplates = {
    Template{Method::post, "/v1/chat/completions", Parameter::none, Operation::chat},
    Template{Method::post, "/v1/completions", Parameter::none, Operation::completions},
    Template{Method::post, "/v1/embeddings", Parameter::none, Operation::embeddings},
    Template{Method::post, "/v1/responses", Parameter::none, Operation::responses_create},
    Template{Method::get, kResponse, Parameter::id, Operation::responses_get},
    Template{Method::delete_, kResponse, Parameter::id, Operation::responses_delete},
    Template{Method::post, kResponse, Parameter::id, Operation::responses_cancel, "/cancel"},
    Template{Method::get, kResponse, Parameter::id, Operation::responses_input_items, "/input_items"},
    Template{Method::get, "/v1/models", Parameter::none, Operation::models_list},
    Template{Method::get, "/v1/models/", Parameter::name, Operation::models_get},
    Template{Method::post, "/v1/rerank", Parameter::none, Operation::rerank},
    Template{Method::post, "/v1/score", Parameter::none, Operation::score},
    Template{Method::post, "/v1/audio/speech", Parameter::none, Operation::audio_speech},
    Template{Method::post, "/v1/audio/transcriptions", Parameter::none, Operation::audio_transcriptions},
    Template{Method::post, "/v1/audio/translations", Parameter::none, Operation::audio_translations},
    Template{Method::post, "/v1/images/generations", Parameter::none, Operation::images_generations},
    Template{Method::post, "/v1/images/edits", Parameter::none, Operation::images_edits},
    Template{Method::post, "/v1/images/variations", Parameter::none, Operation::images_variations},
};

// The parameter when the path fits; an empty view of the path's end when there is none.
std::optional<std::string_view> fit(const Template& row, std::string_view path) {
  if (!path.starts_with(row.before)) return std::nullopt;
  path.remove_prefix(row.before.size());
  if (row.parameter == Parameter::none) return path.empty() ? std::optional(path) : std::nullopt;
  if (!path.ends_with(row.after)) return std::nullopt;
  path.remove_suffix(row.after.size());
  // A name may hold slashes (org/name), and clients send them as they are.
  if (path.empty() || (row.parameter == Parameter::id && path.find('/') != std::string_view::npos))
    return std::nullopt;
  return path;
}

std::string_view method_name(Method method) {
  constexpr std::array<std::string_view, 10> kNames = {"GET",  "POST",    "PUT",     "PATCH", "DELETE",
                                                       "HEAD", "OPTIONS", "CONNECT", "TRACE", "This"};
  return kNames[static_cast<std::size_t>(method)];
}

// It comes from the client, of a form too in octets that are no text.
std::string shown(std::string_view text) {
  std::string shown(text.substr(0, kMaxShown));
  std::replace_if(
      shown.begin(), shown.end(), [](char octet) { return octet < 0x20 || octet > 0x7e; }, '?');
  return shown;
}

void append_nullable(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += "null";
  } else {
    append_json_string(out, text);
  }
}

void append_error_object(std::string& out, const ApiError& error) {
  out += R"({"message":)";
  append_json_string(out, error.message);
  out += R"(,"type":)";
  append_json_string(out, error.type.empty() ? error_type(error.status) : error.type);
  out += R"(,"param":)";
  append_nullable(out, error.param);
  out += R"(,"code":)";
  append_nullable(out, error.code);
  out += '}';
}

}  // namespace

const OperationInfo& operation_info(Operation operation) {
  return kOperations[static_cast<std::size_t>(operation)];
}

std::optional<OperationMatch> match_operation(Method method, std::string_view path) {
  for (const Template& row : kTemplates) {
    if (row.method != method) continue;
    if (const auto id = fit(row, path)) return OperationMatch{row.operation, *id};
  }
  return std::nullopt;
}

std::string_view error_type(unsigned status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

ApiError unknown_path(Method method) {
  ApiError error;
  error.status = 404;
  error.code = "unknown_url";
  error.message = std::string(method_name(method)) + " is not served at this URL.";
  return error;
}

ApiError unknown_model(std::string_view model) {
  ApiError error;
  error.status = 404;
  error.code = "model_not_found";
  error.param = "model";
  error.message = "The model `" + shown(model) + "` does not exist or you have no access to it.";
  return error;
}

ApiError unknown_response(std::string_view id, std::string_view param) {
  ApiError error;
  error.status = 404;
  error.code = "response_not_found";
  error.param = param;
  error.message = "Response with id '" + shown(id) + "' not found.";
  return error;
}

bool is_by_response_id(Operation operation) {
  return operation >= Operation::responses_get && operation <= Operation::responses_input_items;
}

std::string error_body(const ApiError& error) {
  std::string out = R"({"error":)";
  append_error_object(out, error);
  return out += '}';
}

std::string error_fields(const ApiError& error) {
  std::string out;
  if (error.retry_after) {
    const auto milliseconds = std::max<std::chrono::milliseconds::rep>(error.retry_after->count(), 0);
    out += "Retry-After: " + std::to_string((milliseconds + 999) / 1000) + "\r\n";
    out += "retry-after-ms: " + std::to_string(milliseconds) + "\r\n";
  }
  if (error.should_retry)
    out += *error.should_retry ? "x-should-retry: true\r\n" : "x-should-retry: false\r\n";
  return out;
}

// The SDKs raise on `error` in the data of any event. The Responses API also has `event: error` with the
// members at the top level, so that event has both.
std::string error_event(StreamForm form, const ApiError& error) {
  if (form == StreamForm::none) return {};
  if (form == StreamForm::chunks) return "data: " + error_body(error) + "\n\n";
  std::string out = "event: error\ndata: {\"type\":\"error\",\"code\":";
  append_nullable(out, error.code);
  out += ",\"message\":";
  append_json_string(out, error.message);
  out += ",\"param\":";
  append_nullable(out, error.param);
  out += ",\"error\":";
  append_error_object(out, error);
  return out += "}\n\n";
}

}  // namespace perigee::router
