// Reading what has names, and what refers to them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "steering/policy_sections.h"
#include "steering/yaml_reader.h"

namespace perigee {

template <class Items>
std::vector<std::string_view> names_of(const Items& items) {
  std::vector<std::string_view> names;
  names.reserve(items.size());
  for (const auto& item : items) names.emplace_back(item.name);
  return names;
}

// The index of the item a scalar names, or kNoIndex and a report.
template <class Items>
std::size_t find_named(yaml::Map& map, const yaml::Cursor& at, const Items& items, std::string_view what) {
  if (!at.is(yaml::Node::Kind::scalar)) {
    map.report().add(at.path, "must be the name of one " + std::string(what));
    return kNoIndex;
  }
  for (std::size_t i = 0; i < items.size(); ++i)
    if (items[i].name == at.node->scalar) return i;
  // Without any PoP, that they are missing was said.
  const bool said = items.empty() && what == "PoP";
  if (!said && !map.report().full())
    map.report().add(at.node->mark, at.path, yaml::unknown_name(what, at.node->scalar, names_of(items)));
  return kNoIndex;
}

inline bool too_many(yaml::Map& map, std::string_view key, std::size_t count, std::size_t limit) {
  if (count <= limit) return false;
  map.report().add(map.path(key),
                   std::to_string(count) + " entries are too many; at most " + std::to_string(limit));
  return true;
}

// The entries of a map of names under `key`; none when it is absent. An empty value is an empty map.
inline std::vector<std::pair<std::string, yaml::Cursor>> entries(yaml::Map& map, std::string_view key,
                                                                 std::size_t limit) {
  const auto at = map.child(key);
  if (!at || at->is(yaml::Node::Kind::null)) return {};
  yaml::Map inner(*at, map.report());
  auto named = inner.named();
  if (too_many(map, key, named.size(), limit)) named.resize(limit);
  return named;
}

}  // namespace perigee
