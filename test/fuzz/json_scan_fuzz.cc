// Any octets as a JSON body. Boost.JSON reads them too: what one admits the other does, both find the same
// model, and after the edits an endpoint reads the served name. Octet 0 chooses the size of the pieces.
#include <boost/json.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "router/json_scan.h"

namespace perigee::router {
namespace {

namespace json = boost::json;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

JsonScanner scan(std::string_view body, std::size_t piece) {
  JsonScanner scanner;
  for (std::size_t at = 0; at < body.size(); at += piece) scanner.feed(body.substr(at, piece));
  scanner.finish();
  return scanner;
}

// Refused for what a JSON parser does not look at.
bool by_our_rules(JsonFault fault) {
  return fault == JsonFault::duplicate_key || fault == JsonFault::wrong_type ||
         fault == JsonFault::value_too_long || fault == JsonFault::too_deep;
}

void check_edits(std::string_view body, const JsonFacts& facts) {
  const std::string out = apply_edits(body, body_edits(facts, "served", true));
  json::error_code error;
  json::parse_options options;
  options.max_depth = kMaxJsonDepth + 2;
  const json::value value = json::parse(json::string_view(out.data(), out.size()), error, {}, options);
  require(!error && value.is_object(), "edits keep the form");
  require(value.at("model").as_string() == "served", "the served name is read");
  require(value.at("stream_options").at("include_usage").as_bool(), "usage is asked for");
}

void check(std::size_t piece, std::string_view body) {
  const JsonScanner whole = scan(body, body.size() + 1);
  const JsonScanner cut = scan(body, piece);
  require(whole.status() == cut.status() && whole.fault() == cut.fault(), "one outcome in whatever pieces");
  require(whole.facts().model == cut.facts().model, "one model in whatever pieces");
  require(whole.facts().max_tokens == cut.facts().max_tokens, "one limit in whatever pieces");
  require(whole.status() != JsonScanner::Status::need_more, "a body that ended is judged");
  if (by_our_rules(whole.fault())) return;
  json::error_code error;
  json::parse_options options;
  options.max_depth = kMaxJsonDepth + 2;
  const json::value value = json::parse(json::string_view(body.data(), body.size()), error, {}, options);
  const bool complete = whole.status() == JsonScanner::Status::complete;
  if (complete) require(!error && value.is_object(), "what is admitted is JSON");
  // A number out of a double's range is JSON and an error there only.
  if (!complete && !error) require(!value.is_object(), "what is refused is no JSON object");
  if (!complete) return;
  const json::value* model = value.as_object().if_contains("model");
  require((model != nullptr) == whole.facts().model.has_value(), "a model for both or for none");
  if (model == nullptr) return;
  require(std::string_view(model->as_string()) == *whole.facts().model, "the same model");
  check_edits(body, whole.facts());
}

}  // namespace
}  // namespace perigee::router

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  perigee::router::check(1 + data[0] % 8U, {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
