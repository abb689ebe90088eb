#include "gateway/model_list.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <set>

#include "gateway/routed_pools.h"

namespace perigee::gateway {

namespace json = boost::json;

std::vector<std::string> expected_models(const Policy& policy, std::size_t index) {
  std::set<std::string> names;
  for (const RoutedPool& routed : routed_pools(policy))
    if (std::ranges::find(routed.pool->endpoints, index) != routed.pool->endpoints.end())
      names.insert(routed.pool->served_name);
  return {names.begin(), names.end()};
}

std::optional<std::vector<std::string>> absent_models(std::string_view body,
                                                      const std::vector<std::string>& expected) {
  boost::system::error_code failed;
  const json::value answer = json::parse(body, failed);
  const json::object* object = failed ? nullptr : answer.if_object();
  const json::value* data = object == nullptr ? nullptr : object->if_contains("data");
  const json::array* models = data == nullptr ? nullptr : data->if_array();
  if (models == nullptr || models->size() > kMaxListedModels) return std::nullopt;
  std::vector<std::string> absent = expected;
  for (const json::value& model : *models) {
    const json::object* fields = model.if_object();
    const json::value* id = fields == nullptr ? nullptr : fields->if_contains("id");
    const json::string* name = id == nullptr ? nullptr : id->if_string();
    if (name == nullptr) return std::nullopt;
    std::erase(absent, std::string_view(*name));
  }
  return absent;
}

}  // namespace perigee::gateway
