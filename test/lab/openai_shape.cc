#include "test/lab/openai_shape.h"

#include <boost/json.hpp>

namespace perigee::lab {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kMaxTokens = 1'000'000;  // five hours at 50 a second

Error invalid(std::string what) { return {"invalid_request_error", std::move(what)}; }

// Characters of a prompt or of a message's content: a string, or an array of strings or text parts.
std::uint64_t characters(const json::value& value) {
  if (value.is_string()) return value.get_string().size();
  std::uint64_t sum = 0;
  if (value.is_array()) {
    for (const json::value& item : value.get_array()) {
      const json::value* text = item.is_object() ? item.get_object().if_contains("text") : &item;
      if (text != nullptr && text->is_string()) sum += text->get_string().size();
    }
  }
  return sum;
}

Result<std::uint64_t> prompt_characters(const json::object& body, bool chat) {
  if (!chat) {
    const json::value* prompt = body.if_contains("prompt");
    if (prompt == nullptr) return invalid("'prompt' is missing");
    return characters(*prompt);
  }
  const json::value* messages = body.if_contains("messages");
  if (messages == nullptr || !messages->is_array() || messages->get_array().empty()) {
    return invalid("'messages' must be an array that is not empty");
  }
  std::uint64_t sum = 0;
  for (const json::value& message : messages->get_array()) {
    if (!message.is_object()) return invalid("a message must be an object");
    if (const json::value* content = message.get_object().if_contains("content")) sum += characters(*content);
  }
  return sum;
}

bool flag(const json::object& body, const char* name) {
  const json::value* value = body.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

json::value choice(bool chat, bool stream, json::value text, json::value finish) {
  json::object object{{"index", 0}, {"finish_reason", std::move(finish)}};
  if (!chat)
    object["text"] = text.is_null() ? json::value("") : std::move(text);
  else if (stream)
    object["delta"] = text.is_null() ? json::object{} : json::object{{"content", std::move(text)}};
  else
    object["message"] = json::object{{"role", "assistant"}, {"content", std::move(text)}};
  return json::array{std::move(object)};
}

}  // namespace

Result<CompletionRequest> read_completion(const std::string& body, bool chat, const std::string& model) {
  boost::system::error_code bad;
  const json::value document = json::parse(body, bad);
  if (bad || !document.is_object()) return invalid("the body is not a JSON object");
  const json::object& object = document.get_object();
  const json::value* asked = object.if_contains("model");
  if (asked == nullptr || !asked->is_string()) return invalid("'model' is missing");
  if (asked->get_string() != model) {
    return Error{"NotFoundError", "The model `" + std::string(asked->get_string()) + "` does not exist."};
  }
  const auto length = prompt_characters(object, chat);
  if (!length) return length.error();
  CompletionRequest request{
      .chat = chat, .stream = flag(object, "stream"), .prompt_tokens = (*length + 3) / 4};
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || value->is_null()) continue;
    if (!value->is_int64() || value->get_int64() < 1 || value->get_int64() > static_cast<int>(kMaxTokens)) {
      return invalid(std::string("'") + name + "' must be an integer from 1 to 1000000");
    }
    request.max_tokens = static_cast<std::uint64_t>(value->get_int64());
  }
  const json::value* options = object.if_contains("stream_options");
  if (options != nullptr && options->is_object()) {
    if (!request.stream) return invalid("'stream_options' needs 'stream': true");
    request.include_usage = flag(options->get_object(), "include_usage");
  }
  return request;
}

std::string token_text(std::uint64_t number) { return std::to_string(number) + " "; }

json::value Completion::usage(std::uint64_t tokens) const {
  return json::object{{"prompt_tokens", request.prompt_tokens},
                      {"completion_tokens", tokens},
                      {"total_tokens", request.prompt_tokens + tokens}};
}

std::string Completion::whole(std::uint64_t tokens) const {
  std::string text;
  for (std::uint64_t i = 1; i <= tokens; ++i) text += token_text(i);
  return json::serialize(json::object{{"id", id},
                                      {"object", request.chat ? "chat.completion" : "text_completion"},
                                      {"created", created},
                                      {"model", model},
                                      {"choices", choice(request.chat, false, json::value(text), "length")},
                                      {"usage", usage(tokens)}});
}

std::string Completion::event(json::value choices, json::value usage_value) const {
  json::object object{{"id", id},
                      {"object", request.chat ? "chat.completion.chunk" : "text_completion"},
                      {"created", created},
                      {"model", model},
                      {"choices", std::move(choices)}};
  if (request.include_usage) object["usage"] = std::move(usage_value);
  return "data: " + json::serialize(object) + "\n\n";
}

std::string Completion::opening() const {
  if (!request.chat) return {};
  json::object first{{"index", 0},
                     {"finish_reason", nullptr},
                     {"delta", json::object{{"role", "assistant"}, {"content", ""}}}};
  return event(json::array{std::move(first)}, nullptr);
}

std::string Completion::token(std::uint64_t number) const {
  return event(choice(request.chat, true, json::value(token_text(number)), nullptr), nullptr);
}

std::string Completion::closing(std::uint64_t tokens) const {
  std::string text = event(choice(request.chat, true, nullptr, "length"), nullptr);
  if (request.include_usage) text += event(json::array{}, usage(tokens));
  return text + "data: [DONE]\n\n";
}

std::string error_body(const Error& error, unsigned status) {
  return json::serialize(json::object{
      {"error", {{"message", error.what}, {"type", error.where}, {"param", nullptr}, {"code", status}}}});
}

std::string models_body(const std::string& model, std::int64_t created) {
  json::object entry{{"id", model}, {"object", "model"}, {"created", created}, {"owned_by", "perigee-lab"}};
  return json::serialize(json::object{{"object", "list"}, {"data", json::array{std::move(entry)}}});
}

}  // namespace perigee::lab
