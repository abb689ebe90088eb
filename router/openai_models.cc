// The merged list of models, which openai.h declares.
#include <boost/json.hpp>
#include <map>

#include "router/json_scan.h"
#include "router/openai.h"

namespace perigee::router {
namespace {

namespace json = boost::json;

struct Details {
  std::int64_t created = 0;
  std::string owned_by = "perigee";
  std::int64_t max_model_len = 0;  // 0: not told
};
using DetailsByName = std::map<std::string, Details, std::less<>>;

constexpr std::size_t kMaxOwnerOctets = 64;  // of an endpoint's text that reaches clients

void read_entry(const json::value& value, DetailsByName& known) {
  const json::object* entry = value.if_object();
  const json::value* id = entry == nullptr ? nullptr : entry->if_contains("id");
  if (id == nullptr || !id->is_string()) return;
  Details details;
  const json::value* created = entry->if_contains("created");
  if (created != nullptr && created->is_int64()) details.created = created->get_int64();
  const json::value* length = entry->if_contains("max_model_len");
  if (length != nullptr && length->is_int64()) details.max_model_len = length->get_int64();
  const json::value* owner = entry->if_contains("owned_by");
  if (owner != nullptr && owner->is_string() && owner->get_string().size() <= kMaxOwnerOctets)
    details.owned_by = std::string_view(owner->get_string());
  known.try_emplace(std::string(id->get_string()), std::move(details));  // the first answer counts
}

DetailsByName read_answers(std::span<const std::string_view> answers) {
  DetailsByName known;
  for (const std::string_view answer : answers) {
    json::error_code error;
    const json::value value = json::parse(json::string_view(answer.data(), answer.size()), error);
    const json::object* body = error ? nullptr : value.if_object();
    const json::value* data = body == nullptr ? nullptr : body->if_contains("data");
    const json::array* entries = data == nullptr ? nullptr : data->if_array();
    if (entries == nullptr) continue;
    for (const json::value& entry : *entries) read_entry(entry, known);
  }
  return known;
}

void append_model(std::string& out, const PublicModel& model, const DetailsByName& known) {
  const auto found = known.find(model.served_name);
  const Details details = found == known.end() ? Details{} : found->second;
  out += R"({"id":)";
  append_json_string(out, model.name);
  out += R"(,"object":"model","created":)" + std::to_string(details.created) + R"(,"owned_by":)";
  append_json_string(out, details.owned_by);
  if (details.max_model_len > 0) out += R"(,"max_model_len":)" + std::to_string(details.max_model_len);
  out += '}';
}

}  // namespace

std::string models_body(std::span<const PublicModel> models, std::span<const std::string_view> answers) {
  const DetailsByName known = read_answers(answers);
  std::string out = R"({"object":"list","data":[)";
  for (const PublicModel& model : models) {
    if (!out.ends_with('[')) out += ',';
    append_model(out, model, known);
  }
  return out += "]}";
}

std::string model_body(const PublicModel& model, std::span<const std::string_view> answers) {
  std::string out;
  append_model(out, model, read_answers(answers));
  return out;
}

}  // namespace perigee::router
