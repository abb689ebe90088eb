#include "test/lab/openai_shape.h"

#include <bit>
#include <boost/json.hpp>
#include <functional>
#include <random>
#include <string_view>
#include <vector>

namespace perigee::lab {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kMaxTokens = 1'000'000;  // five hours at 50 a second
constexpr std::int64_t kMaxDimensions = 4096;    // of an embedding, as large models have

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

Result<std::uint64_t> prompt_characters(const json::object& body, Api api) {
  const char* name = api == Api::chat ? "messages" : api == Api::responses ? "input" : "prompt";
  const json::value* prompt = body.if_contains(name);
  if (prompt == nullptr) return invalid("'" + std::string(name) + "' is missing");
  if (api == Api::completions || prompt->is_string()) return characters(*prompt);
  if (!prompt->is_array() || prompt->get_array().empty()) {
    return invalid("'" + std::string(name) + "' must be an array that is not empty");
  }
  std::uint64_t sum = 0;
  for (const json::value& message : prompt->get_array()) {
    if (!message.is_object()) return invalid("a message must be an object");
    if (const json::value* content = message.get_object().if_contains("content")) sum += characters(*content);
  }
  return sum;
}

// The body as an object that asks for `model`.
Result<json::object> read_object(const std::string& body, const std::string& model) {
  boost::system::error_code bad;
  json::value document = json::parse(body, bad);
  if (bad || !document.is_object()) return invalid("the body is not a JSON object");
  const json::value* asked = document.get_object().if_contains("model");
  if (asked == nullptr || !asked->is_string()) return invalid("'model' is missing");
  if (asked->get_string() != model) {
    return Error{"NotFoundError", "The model `" + std::string(asked->get_string()) + "` does not exist."};
  }
  return std::move(document.get_object());
}

// A packed float32 vector, as the official clients ask for it.
std::string base64(const std::vector<float>& vector) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string octets;
  for (const float value : vector) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) octets += static_cast<char>(word >> shift & 0xffU);
  }
  std::string out;
  for (std::size_t i = 0; i < octets.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = i; j < i + 3; ++j)
      group = group << 8U | (j < octets.size() ? static_cast<unsigned char>(octets[j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      out += i + j <= octets.size() ? kDigits[group >> (18U - 6U * j) & 63U] : '=';
  }
  return out;
}

std::vector<float> vector_of(std::string_view text, std::size_t dimensions) {
  std::minstd_rand random(static_cast<unsigned>(std::hash<std::string_view>{}(text)));
  std::vector<float> vector;
  for (std::size_t i = 0; i < dimensions; ++i)
    vector.push_back(static_cast<float>(random() % 1024) / 1024.0F);  // exact in a float and as text
  return vector;
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

Result<CompletionRequest> read_completion(const std::string& body, Api api, const std::string& model) {
  const auto read = read_object(body, model);
  if (!read) return read.error();
  const json::object& object = *read;
  const auto length = prompt_characters(object, api);
  if (!length) return length.error();
  CompletionRequest request;
  request.api = api;
  request.stream = flag(object, "stream");
  request.prompt_tokens = (*length + 3) / 4;
  for (const char* name : {"max_tokens", "max_completion_tokens", "max_output_tokens"}) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || value->is_null()) continue;
    if (!value->is_int64() || value->get_int64() < 1 || value->get_int64() > static_cast<int>(kMaxTokens)) {
      return invalid(std::string("'") + name + "' must be an integer from 1 to 1000000");
    }
    request.max_tokens = static_cast<std::uint64_t>(value->get_int64());
  }
  const json::value* previous = object.if_contains("previous_response_id");
  if (previous != nullptr && previous->is_string()) request.previous_response = previous->get_string();
  const json::value* options = object.if_contains("stream_options");
  if (options != nullptr && options->is_object()) {
    if (!request.stream) return invalid("'stream_options' needs 'stream': true");
    request.include_usage = flag(options->get_object(), "include_usage");
  }
  return request;
}

Result<std::string> embeddings_body(const std::string& body, const std::string& model) {
  const auto read = read_object(body, model);
  if (!read) return read.error();
  const json::value* input = read->if_contains("input");
  if (input == nullptr || (!input->is_string() && !input->is_array())) return invalid("'input' is missing");
  std::size_t dimensions = 16;
  if (const json::value* asked = read->if_contains("dimensions")) {
    if (!asked->is_int64() || asked->get_int64() < 1 || asked->get_int64() > kMaxDimensions)
      return invalid("'dimensions' must be an integer from 1 to 4096");
    dimensions = static_cast<std::size_t>(asked->get_int64());
  }
  const json::value* format = read->if_contains("encoding_format");
  const bool packed = format != nullptr && format->is_string() && format->get_string() == "base64";
  json::array data;
  const auto add = [&](std::string_view text) {
    const std::vector<float> vector = vector_of(text, dimensions);
    json::value embedding = packed ? json::value(base64(vector)) : json::value_from(vector);
    data.push_back(
        json::object{{"object", "embedding"}, {"index", data.size()}, {"embedding", std::move(embedding)}});
  };
  if (input->is_string()) {
    add(input->get_string());
  } else {
    for (const json::value& text : input->get_array()) {
      if (!text.is_string()) return invalid("'input' must be a string or an array of strings");
      add(text.get_string());
    }
  }
  const std::uint64_t tokens = (characters(*input) + 3) / 4;
  return Result<std::string>(
      boost::system::in_place_value,
      json::serialize(json::object{{"object", "list"},
                                   {"data", std::move(data)},
                                   {"model", model},
                                   {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}}));
}

std::string token_text(std::uint64_t number) { return std::to_string(number) + " "; }

json::value Completion::usage(std::uint64_t tokens) const {
  return json::object{{"prompt_tokens", request.prompt_tokens},
                      {"completion_tokens", tokens},
                      {"total_tokens", request.prompt_tokens + tokens}};
}

std::string Completion::whole(std::uint64_t tokens) const {
  if (request.api == Api::responses) return response_whole(*this, tokens);
  const bool chat = request.api == Api::chat;
  std::string text;
  for (std::uint64_t i = 1; i <= tokens; ++i) text += token_text(i);
  return json::serialize(json::object{{"id", id},
                                      {"object", chat ? "chat.completion" : "text_completion"},
                                      {"created", created},
                                      {"model", model},
                                      {"choices", choice(chat, false, json::value(text), "length")},
                                      {"usage", usage(tokens)}});
}

std::string Completion::event(json::value choices, json::value usage_value) const {
  json::object object{{"id", id},
                      {"object", request.api == Api::chat ? "chat.completion.chunk" : "text_completion"},
                      {"created", created},
                      {"model", model},
                      {"choices", std::move(choices)}};
  if (request.include_usage) object["usage"] = std::move(usage_value);
  return "data: " + json::serialize(object) + "\n\n";
}

std::string Completion::opening() const {
  if (request.api == Api::responses) return response_opening(*this);
  if (request.api == Api::completions) return {};
  json::object first{{"index", 0},
                     {"finish_reason", nullptr},
                     {"delta", json::object{{"role", "assistant"}, {"content", ""}}}};
  return event(json::array{std::move(first)}, nullptr);
}

std::string Completion::token(std::uint64_t number) const {
  if (request.api == Api::responses) return response_token(*this, number);
  return event(choice(request.api == Api::chat, true, json::value(token_text(number)), nullptr), nullptr);
}

std::string Completion::closing(std::uint64_t tokens) const {
  if (request.api == Api::responses) return response_closing(*this, tokens);
  std::string text = event(choice(request.api == Api::chat, true, nullptr, "length"), nullptr);
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
