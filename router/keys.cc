#include "router/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "router/secret_file.h"
#include "steering/policy_constraints.h"
#include "steering/yaml_reader.h"

namespace perigee::router {
namespace {

using yaml::Cursor;
using yaml::Map;

constexpr std::size_t kMaxTenantOctets = 64;
constexpr std::size_t kMaxListed = 1024;  // models or regions of one key

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

Result<Digest> parse_digest(std::string_view text) {
  Digest digest{};
  bool good = text.size() == 2 * digest.size();
  for (std::size_t i = 0; good && i < digest.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest[i] = static_cast<unsigned char>(high * 16 + low);
  }
  if (!good)
    return Error{"", "is no SHA-256 in 64 lower case hexadecimal digits; \"perigee key new\" makes one"};
  return digest;
}

void read_list(Map& map, std::string_view key, Result<std::string> (*parse)(std::string_view),
               std::optional<std::vector<std::string>>& out) {
  const auto at = map.child(key);
  if (!at) return;
  const auto items = yaml::scalars(*at, map.report());
  if (at->is(yaml::Node::Kind::sequence) && items.empty())
    map.report().add(at->path, "is empty: the key could do nothing; leave it out, or the key");
  if (items.size() > kMaxListed) {
    map.report().add(at->path, "has too many entries; at most " + std::to_string(kMaxListed));
    return;
  }
  std::vector<std::string>& list = out.emplace();
  for (const Cursor& item : items) {
    const Result<std::string> name = parse(item.node->scalar);
    if (name)
      list.push_back(*name);
    else
      map.report().add(item.path, name.error().what);
  }
  std::sort(list.begin(), list.end());
}

ApiKey read_key(const std::string& id, const Cursor& at, yaml::Report& report) {
  ApiKey key;
  key.id = id;
  Map map(at, report);
  if (map.needs("sha256", "that of its secret, which \"perigee key new\" prints"))
    map.value("sha256", key.secret, parse_digest);
  if (map.needs("tenant", "whose it is, such as \"acme\"")) map.text("tenant", key.tenant, kMaxTenantOctets);
  read_list(map, "models", parse_model_name, key.models);
  read_list(map, "residency", parse_name, key.residency);
  read_request_limits(map, key.limits);
  map.choice<Priority>("priority", key.priority,
                       {{"high", Priority::high}, {"normal", Priority::normal}, {"low", Priority::low}});
  map.value("diagnostics", key.diagnostics, parse_flag);
  return key;
}

bool is_base64url(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char octet) {
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
           (octet >= '0' && octet <= '9') || octet == '-' || octet == '_';
  });
}

}  // namespace

Digest sha256(std::string_view text) {
  // Looked up once; OpenSSL would do so for each call.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Digest digest{};
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, algorithm, nullptr) != 1)
    throw std::runtime_error("OpenSSL has no SHA-256");
  return digest;
}

bool ApiKey::may_use(const std::string& model) const {
  return !models || std::binary_search(models->begin(), models->end(), model);
}

KeyRing::Loaded KeyRing::parse(std::string_view text, const std::string& file, const KeyRing* previous) {
  yaml::Report report(file);
  auto ring = std::make_shared<KeyRing>();
  const yaml::Node root = yaml::parse_document(text, report);
  report.learn_places(root);
  if (root.kind == yaml::Node::Kind::null) {
    if (report.empty()) report.add("", "is empty; start with \"keys:\"");
    return report.errors();
  }
  {
    Map map(Cursor{&root, ""}, report);
    if (map.needs("keys", "a map of keys by id, such as \"keys: {team-a: {sha256: ..., tenant: acme}}\"")) {
      Map keys(*map.child("keys"), report);
      const auto named = keys.named();
      if (named.size() > kMaxKeys) report.add("keys", "are too many; at most " + std::to_string(kMaxKeys));
      for (const auto& [id, at] : named) {
        ApiKey key = read_key(id, at, report);
        const ApiKey* before = previous == nullptr ? nullptr : previous->by_id(id);
        key.counters = before == nullptr ? std::make_shared<LimitCounters>() : before->counters;
        ring->keys_.emplace(id, std::move(key));
      }
    }
  }
  if (!report.empty()) return report.errors();
  return std::shared_ptr<const KeyRing>(std::move(ring));
}

KeyRing::Loaded KeyRing::load(const std::string& path, const KeyRing* previous) {
  const auto text = read_secret(path, kMaxKeyFileOctets);
  if (!text) return std::vector<Error>{text.error()};
  return parse(*text, path, previous);
}

std::vector<Error> KeyRing::check_twins(const Policy& policy) const {
  // Many keys say the same; the first of them by its id is named.
  using Narrowed = std::pair<std::vector<std::string>, std::optional<std::vector<std::string>>>;
  std::map<Narrowed, const ApiKey*> narrowed;
  for (const auto& [id, key] : keys_) {
    if (!key.residency) continue;
    const ApiKey*& named = narrowed[{*key.residency, key.models}];
    if (named == nullptr || id < named->id) named = &key;
  }
  std::vector<Error> errors;
  for (const Policy::RoutedService& routed : policy.routed) {
    std::set<ServiceId> said;
    for (const auto& [what, key] : narrowed) {
      std::vector<std::size_t> regions;
      for (std::size_t i = 0; i < policy.regions.size(); ++i)
        if (std::find(what.first.begin(), what.first.end(), policy.regions[i]) != what.first.end())
          regions.push_back(i);
      const auto uses = [&named = *key](const Policy::Model& model) { return named.may_use(model.name); };
      for (const Twin& twin : twins_outside(policy, routed, regions, uses))
        if (said.insert(twin.service->id).second)
          errors.push_back({"services." + twin.service->name + ".endpoints",
                            yaml::quoted(twin.endpoint->name) + " is also of " + yaml::quoted(routed.name) +
                                " and outside the residency of its key " + yaml::quoted(key->id) +
                                ", and forwarded connections have no keys; leave it out of one of both, or "
                                "confine this service by \"pops\""});
    }
  }
  return errors;
}

const ApiKey* KeyRing::by_id(std::string_view id) const {
  const auto found = keys_.find(id);
  return found == keys_.end() ? nullptr : &found->second;
}

const ApiKey* KeyRing::find(std::string_view token) const {
  const std::size_t dot = token.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const std::string_view secret = token.substr(dot + 1);
  if (secret.size() < kMinSecretOctets || secret.size() > kMaxSecretLength || !is_base64url(secret))
    return nullptr;
  static const ApiKey nobody;
  const ApiKey* key = by_id(token.substr(0, dot));
  const Digest given = sha256(secret);
  const bool same =
      CRYPTO_memcmp((key == nullptr ? nobody : *key).secret.data(), given.data(), given.size()) == 0;
  return same ? key : nullptr;
}

}  // namespace perigee::router
