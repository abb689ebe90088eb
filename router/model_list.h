// The models that an endpoint says it has, and the list that clients see: the policy's, with what endpoints
// tell of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace perigee::router {

struct ModelDetails {
  std::int64_t created = 0;  // Unix time; 0: not told
  std::string owned_by = "perigee";
  std::int64_t max_model_len = 0;  // tokens; 0: not told
};

// By an endpoint's own names. Nothing else of its answer is passed on (vLLM tells file paths there).
using ModelList = std::map<std::string, ModelDetails, std::less<>>;

inline constexpr std::size_t kMaxListedModels = 4096;  // far more than one engine loads

// Of the body of an endpoint's answer to GET /v1/models ({"data": [{"id": NAME, ...}, ...]}), of which all
// but the names may lack; a name that comes again is as it came first. nullopt: it is no such list, or one of
// more than kMaxListedModels.
[[nodiscard]] std::optional<ModelList> read_model_list(std::string_view body);

struct PublicModel {
  std::string_view name;
  const ModelDetails* details = nullptr;  // null: no endpoint tells of it
};
// The body of GET /v1/models: exactly `models`, in that order.
[[nodiscard]] std::string models_body(std::span<const PublicModel> models);
// The body of GET /v1/models/{name}.
[[nodiscard]] std::string model_body(const PublicModel& model);

}  // namespace perigee::router
