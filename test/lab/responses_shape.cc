// The Responses API as vLLM speaks it: one message with one text part.
#include <boost/json.hpp>

#include "test/lab/openai_shape.h"

namespace perigee::lab {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kOpeningEvents = 4;  // tokens come after them in the running number

std::string text_of(std::uint64_t tokens) {
  std::string text;
  for (std::uint64_t i = 1; i <= tokens; ++i) text += token_text(i);
  return text;
}

std::string item_id(const Completion& completion) { return "msg_" + completion.id; }

json::object part(std::string text) {
  return {{"type", "output_text"}, {"text", std::move(text)}, {"annotations", json::array{}}};
}

json::object item(const Completion& completion, const char* status, json::array content) {
  return {{"id", item_id(completion)},
          {"type", "message"},
          {"role", "assistant"},
          {"status", status},
          {"content", std::move(content)}};
}

json::object response(const Completion& completion, const char* status, json::array output) {
  return {{"id", completion.id},
          {"object", "response"},
          {"created_at", completion.created},
          {"status", status},
          {"error", nullptr},
          {"incomplete_details", nullptr},
          {"model", completion.model},
          {"output", std::move(output)},
          {"parallel_tool_calls", true},
          {"tool_choice", "auto"},
          {"tools", json::array{}},
          {"usage", nullptr}};
}

json::object finished(const Completion& completion, std::uint64_t tokens) {
  const std::uint64_t prompt = completion.request.prompt_tokens;
  json::object whole =
      response(completion, "completed", {item(completion, "completed", {part(text_of(tokens))})});
  whole["usage"] = json::object{{"input_tokens", prompt},
                                {"input_tokens_details", {{"cached_tokens", 0}}},
                                {"output_tokens", tokens},
                                {"output_tokens_details", {{"reasoning_tokens", 0}}},
                                {"total_tokens", prompt + tokens}};
  return whole;
}

std::string event(const char* type, std::uint64_t number, json::object more) {
  json::object data{{"type", type}, {"sequence_number", number}};
  for (auto& member : more) data.emplace(member.key(), std::move(member.value()));
  return "event: " + std::string(type) + "\ndata: " + json::serialize(data) + "\n\n";
}

// Where in the answer an event of the text belongs.
json::object place(const Completion& completion, const char* name, json::value value) {
  return {
      {"item_id", item_id(completion)}, {"output_index", 0}, {"content_index", 0}, {name, std::move(value)}};
}

}  // namespace

std::string response_whole(const Completion& completion, std::uint64_t tokens) {
  return json::serialize(finished(completion, tokens));
}

std::string response_opening(const Completion& completion) {
  return event("response.created", 0, {{"response", response(completion, "in_progress", {})}}) +
         event("response.in_progress", 1, {{"response", response(completion, "in_progress", {})}}) +
         event("response.output_item.added", 2,
               {{"output_index", 0}, {"item", item(completion, "in_progress", {})}}) +
         event("response.content_part.added", 3, place(completion, "part", part("")));
}

std::string response_token(const Completion& completion, std::uint64_t number) {
  return event("response.output_text.delta", kOpeningEvents + number - 1,
               place(completion, "delta", json::value(token_text(number))));
}

std::string response_closing(const Completion& completion, std::uint64_t tokens) {
  const std::uint64_t next = kOpeningEvents + tokens;
  const std::string text = text_of(tokens);
  return event("response.output_text.done", next, place(completion, "text", json::value(text))) +
         event("response.content_part.done", next + 1, place(completion, "part", part(text))) +
         event("response.output_item.done", next + 2,
               {{"output_index", 0}, {"item", item(completion, "completed", {part(text)})}}) +
         event("response.completed", next + 3, {{"response", finished(completion, tokens)}});
}

}  // namespace perigee::lab
