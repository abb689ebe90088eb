// API keys: who may ask for what, how much and where. A client sends "id.secret" as its bearer token; the key
// file has the SHA-256 of the secret alone.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "contract/error.h"
#include "router/gate.h"
#include "router/shared_counters.h"
#include "steering/request_limits.h"

namespace perigee {
struct Policy;
}

namespace perigee::router {

inline constexpr std::size_t kMaxKeys = 16'384;
inline constexpr std::size_t kMaxKeyFileOctets = 8U << 20U;
inline constexpr std::size_t kMinSecretOctets = 22;  // base64url of 128 bits
inline constexpr std::size_t kMaxSecretLength = 128;

using Digest = std::array<unsigned char, 32>;  // SHA-256

struct ApiKey {
  std::string id;
  std::string tenant;
  Digest secret{};
  std::optional<std::vector<std::string>> models;     // as the policy names them, sorted; absent: all
  std::optional<std::vector<std::string>> residency;  // regions by name; absent: anywhere
  RequestLimits limits;
  Priority priority = Priority::normal;     // where requests wait for a place
  bool diagnostics = false;                 // its answers say which endpoint served
  std::shared_ptr<LimitCounters> counters;  // of `limits`; never null

  [[nodiscard]] bool may_use(const std::string& model) const;
};

class KeyRing {
 public:
  using Loaded = boost::system::result<std::shared_ptr<const KeyRing>, std::vector<Error>>;

  // Keys that `previous` (may be null) knew by id keep their counters. Errors are all there are, each with
  // its place: "keys.yaml:3:7: ...". They never repeat a digest.
  static Loaded parse(std::string_view text, const std::string& file, const KeyRing* previous);
  // Of a file that others cannot read.
  static Loaded load(const std::string& path, const KeyRing* previous);

  // The key of the token "id.secret"; nullptr: there is none. A wrong id takes as long as a wrong secret.
  [[nodiscard]] const ApiKey* find(std::string_view token) const;
  // The forwarded services that lead around the residency of a key, each once: errors of the policy.
  [[nodiscard]] std::vector<Error> check_twins(const Policy& policy) const;
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  [[nodiscard]] const ApiKey* by_id(std::string_view id) const;

  std::unordered_map<std::string, ApiKey, Hash, std::equal_to<>> keys_;
};

[[nodiscard]] Digest sha256(std::string_view text);

}  // namespace perigee::router
