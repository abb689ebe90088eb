#include "steering/yaml_reader.h"

#include <algorithm>
#include <set>

#include "steering/policy.h"

namespace perigee::yaml {
namespace {

constexpr std::size_t kMaxListed = 10;        // names listed in a message
constexpr std::size_t kMaxPathOctets = 1023;  // below PATH_MAX, and more than anyone types
constexpr std::size_t kMaxItems = 256;        // of any list a policy has; each is looked up by name

std::string listed(const std::vector<std::string_view>& words) {
  std::string out;
  for (std::size_t i = 0; i < std::min(words.size(), kMaxListed); ++i)
    out += (i == 0 ? "" : ", ") + std::string(words[i]);
  return out + (words.size() > kMaxListed ? ", ..." : "");
}

const char* kind_name(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null:
      return "empty";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::sequence:
      return "a list";
    case Node::Kind::map:
      return "a map";
  }
  return "empty";
}

}  // namespace

Map::Map(Cursor at, Report& report) : at_(std::move(at)), report_(report) {
  if (!at_.is(Node::Kind::map)) {
    report_.add(at_.path,
                std::string("is ") + kind_name(at_.node->kind) + "; it must be a map of keys to values");
    return;
  }
  std::set<std::string_view> seen;
  for (const Node& child : at_.node->children)
    if (!seen.insert(child.key).second)
      report_.add(child.key_mark, path(child.key), "is given twice; keep one of them");
}

Map::~Map() {
  if (!closed_ || !at_.is(Node::Kind::map)) return;
  for (const Node& child : at_.node->children) {
    if (child.key.empty()) continue;  // no name: the document's reader said so
    if (report_.full() || std::find(known_.begin(), known_.end(), child.key) != known_.end()) continue;
    const std::string_view near = nearest(child.key, known_);
    report_.add(child.key_mark, path(child.key),
                near.empty() ? "unknown key; known here are " + listed(known_)
                             : "unknown key; did you mean " + quoted(near) + "?");
  }
}

std::optional<Cursor> Map::child(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
  if (!at_.is(Node::Kind::map)) return std::nullopt;
  for (const Node& child : at_.node->children)
    if (child.key == key) return Cursor{&child, path(key)};
  return std::nullopt;
}

bool Map::needs(std::string_view key, std::string_view meaning) {
  if (child(key)) return true;
  if (at_.is(Node::Kind::map))
    report_.add(at_.path, std::string(key) + " is missing; give " + std::string(meaning));
  return false;
}

std::vector<std::pair<std::string, Cursor>> Map::named(Result<std::string> (*parse)(std::string_view)) {
  closed_ = false;
  std::vector<std::pair<std::string, Cursor>> out;
  if (!at_.is(Node::Kind::map)) return out;
  std::set<std::string_view> seen;
  for (const Node& child : at_.node->children) {
    const Result<std::string> name = parse(child.key);
    const bool again = !seen.insert(child.key).second;
    if (!name)
      report_.add(child.key_mark, path(child.key), name.error().what);
    else if (!again)  // reported already
      out.emplace_back(*name, Cursor{&child, path(child.key)});
  }
  return out;
}

std::optional<Cursor> Map::scalar(std::string_view key, bool may_be_null) {
  std::optional<Cursor> at = child(key);
  if (!at || at->is(Node::Kind::scalar) || (may_be_null && at->is(Node::Kind::null))) return at;
  report_.add(at->path, std::string("is ") + kind_name(at->node->kind) + "; it must be a single value" +
                            (at->is(Node::Kind::null) ? ", or leave the key out" : ""));
  return std::nullopt;
}

bool Map::in_range(std::string_view key, std::string_view text, bool good, const std::string& low,
                   const std::string& high) {
  if (good) return true;
  report_.add(path(key), low == high ? std::string(text) + " is not known; it must be " + low
                                     : std::string(text) + " is out of range; from " + low + " to " + high);
  return false;
}

bool Map::duration(std::string_view key, Nanos& out, Nanos low, Nanos high) {
  Nanos parsed{};
  if (!value(key, parsed, parse_duration) ||
      !in_range(key, text_of(parsed), parsed >= low && parsed <= high, text_of(low), text_of(high)))
    return false;
  out = parsed;
  return true;
}

bool Map::octets(std::string_view key, std::uint64_t& out, std::uint64_t low, std::uint64_t high) {
  std::uint64_t parsed = 0;
  if (!value(key, parsed, parse_octets) ||
      !in_range(key, octets_text(parsed), parsed >= low && parsed <= high, octets_text(low),
                octets_text(high)))
    return false;
  out = parsed;
  return true;
}

bool Map::percent(std::string_view key, double& out, double low, double high) {
  double parsed = 0;
  if (!value(key, parsed, parse_percent) ||
      !in_range(key, percent_text(parsed), parsed >= low && parsed <= high, percent_text(low),
                percent_text(high)))
    return false;
  out = parsed;
  return true;
}

bool Map::ratio(std::string_view key, double& out, double low, double high) {
  double parsed = 0;
  if (!value(key, parsed, parse_ratio) ||
      !in_range(key, ratio_text(parsed), parsed >= low && parsed <= high, ratio_text(low), ratio_text(high)))
    return false;
  out = parsed;
  return true;
}

bool Map::text(std::string_view key, std::string& out, std::size_t max_octets) {
  const std::optional<Cursor> at = scalar(key);
  if (!at) return false;
  const std::string& text = at->node->scalar;
  const bool plain = std::none_of(text.begin(), text.end(),
                                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (text.empty())
    report_.add(at->node->mark, at->path, "is empty; give a value or leave the key out");
  else if (text.size() > max_octets)
    report_.add(at->node->mark, at->path, "is too long; at most " + std::to_string(max_octets) + " octets");
  else if (!plain)
    report_.add(at->node->mark, at->path, "has control characters; use plain text");
  else
    out = text;
  return out == text && plain;
}

bool Map::absolute_path(std::string_view key, std::string& out) {
  std::string path;
  if (!text(key, path, kMaxPathOctets)) return false;
  if (path[0] != '/') {
    report_.add(
        child(key)->node->mark, this->path(key),
        "is not an absolute path; say for example \"/etc/perigee/" + path.substr(0, kMaxQuoted) + "\"");
    return false;
  }
  out = std::move(path);
  return true;
}

bool Map::wrong_choice(const Cursor& at, const std::vector<std::string_view>& words) {
  const std::string_view near = nearest(at.node->scalar, words);
  report_.add(at.node->mark, at.path,
              quoted(at.node->scalar) + " is not known here; " +
                  (near.empty() ? (words.size() == 1 ? "it must be " : "use one of ") + listed(words)
                                : "did you mean " + quoted(near) + "?"));
  return false;
}

std::vector<Cursor> scalars(const Cursor& at, Report& report) {
  std::vector<Cursor> out;
  if (!at.is(Node::Kind::sequence)) {
    report.add(at.path, std::string("is ") + kind_name(at.node->kind) + "; it must be a list such as [a, b]");
    return out;
  }
  const std::size_t size = at.node->children.size();
  if (size > kMaxItems)
    report.add(at.path, std::to_string(size) + " items are too many; at most " + std::to_string(kMaxItems));
  for (std::size_t i = 0; i < std::min(size, kMaxItems); ++i) {
    const Cursor item{&at.node->children[i], join(at.path, i)};
    if (item.is(Node::Kind::scalar))
      out.push_back(item);
    else
      report.add(item.path, std::string("is ") + kind_name(item.node->kind) + "; it must be a single value");
  }
  return out;
}

std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string_view>& known) {
  const std::string_view near = nearest(name, known);
  std::string out = "no " + std::string(what) + " is named " + quoted(name);
  if (!near.empty()) return out + "; did you mean " + quoted(near) + "?";
  return out + (known.empty() ? "; none is declared" : "; there are " + listed(known));
}

}  // namespace perigee::yaml
