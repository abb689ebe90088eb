#include "router/model_list.h"

#include <boost/json.hpp>

#include "router/json_scan.h"

namespace perigee::router {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxOwnerOctets = 64;  // of an endpoint's text that reaches clients

// False: it has no name.
bool read_entry(const json::value& value, ModelList& list) {
  const json::object* entry = value.if_object();
  const json::value* id = entry == nullptr ? nullptr : entry->if_contains("id");
  if (id == nullptr || !id->is_string()) return false;
  ModelDetails details;
  const json::value* created = entry->if_contains("created");
  if (created != nullptr && created->is_int64()) details.created = created->get_int64();
  const json::value* length = entry->if_contains("max_model_len");
  if (length != nullptr && length->is_int64()) details.max_model_len = length->get_int64();
  const json::value* owner = entry->if_contains("owned_by");
  if (owner != nullptr && owner->is_string() && owner->get_string().size() <= kMaxOwnerOctets)
    details.owned_by = std::string_view(owner->get_string());
  list.try_emplace(std::string(id->get_string()), std::move(details));
  return true;
}

void append_model(std::string& out, const PublicModel& model) {
  const ModelDetails none;
  const ModelDetails& details = model.details == nullptr ? none : *model.details;
  out += R"({"id":)";
  append_json_string(out, model.name);
  out += R"(,"object":"model","created":)" + std::to_string(details.created) + R"(,"owned_by":)";
  append_json_string(out, details.owned_by);
  if (details.max_model_len > 0) out += R"(,"max_model_len":)" + std::to_string(details.max_model_len);
  out += '}';
}

}  // namespace

std::optional<ModelList> read_model_list(std::string_view body) {
  json::error_code error;
  const json::value value = json::parse(json::string_view(body.data(), body.size()), error);
  const json::object* object = error ? nullptr : value.if_object();
  const json::value* data = object == nullptr ? nullptr : object->if_contains("data");
  const json::array* entries = data == nullptr ? nullptr : data->if_array();
  if (entries == nullptr || entries->size() > kMaxListedModels) return std::nullopt;
  ModelList list;
  for (const json::value& entry : *entries)
    if (!read_entry(entry, list)) return std::nullopt;
  return list;
}

std::string models_body(std::span<const PublicModel> models) {
  std::string out = R"({"object":"list","data":[)";
  for (const PublicModel& model : models) {
    if (!out.ends_with('[')) out += ',';
    append_model(out, model);
  }
  return out += "]}";
}

std::string model_body(const PublicModel& model) {
  std::string out;
  append_model(out, model);
  return out;
}

}  // namespace perigee::router
