#include "steering/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>

namespace perigee::yaml {
namespace {

Mark mark_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

// Builds the tree from the parser's events. An error that would leave the tree unbounded ends the parse.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Report& report) : report_(report) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    report_.add(mark_of(mark), "", "anchor " + quoted("&" + name) + " is not allowed; write the value out");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    report_.add(mark_of(mark), "", "alias is not allowed; write the value out");
    place({}, mark);
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { place({}, mark); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    check_tag(mark, tag);
    Node node;
    node.kind = Node::Kind::scalar;
    node.scalar = value;
    place(std::move(node), mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::sequence, mark, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::map, mark, tag);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node node;
    bool has_key = false;  // of a map: the next event is the value of `key`
    std::string key;
    Mark key_mark;
  };

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    // "?" is a plain value, "!" a quoted one (YAML 1.2.2, section 6.9.1).
    if (!tag.empty() && tag != "?" && tag != "!")
      report_.add(mark_of(mark), "", "tag " + quoted(tag) + " is not allowed; write the value plainly");
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag) {
    check_tag(mark, tag);
    if (open_.size() >= kMaxDepth)
      throw YAML::ParserException(mark, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
    Node node;
    node.kind = kind;
    node.mark = mark_of(mark);
    open_.push_back({std::move(node), false, {}, {}});
  }

  void close() {
    Node node = std::move(open_.back().node);
    open_.pop_back();
    const Mark mark = node.mark;
    place_at(std::move(node), mark);
  }

  void place(Node node, const YAML::Mark& mark) {
    node.mark = mark_of(mark);
    const Mark at = node.mark;
    place_at(std::move(node), at);
  }

  void place_at(Node node, Mark mark) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::map && !parent.has_key) {
      if (node.kind != Node::Kind::scalar) report_.add(mark, "", "a key must be a plain name");
      parent.has_key = true;
      parent.key = std::move(node.scalar);
      parent.key_mark = mark;
      return;
    }
    if (parent.node.kind == Node::Kind::map) {
      node.key = std::move(parent.key);
      node.key_mark = parent.key_mark;
      parent.has_key = false;
    } else {
      node.key_mark = mark;
    }
    parent.node.children.push_back(std::move(node));
  }

  Report& report_;
  std::vector<Open> open_;
  Node root_;
};

// A stream over text that is not copied.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // the get area is only read
    setg(begin, begin, begin + text.size());
  }
};

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  const bool cut = text.size() > kMaxQuoted;
  std::size_t size = std::min(text.size(), kMaxQuoted);
  // Not within a character: octets 10xxxxxx continue one (RFC 3629, section 3).
  while (cut && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U) --size;
  for (const char c : text.substr(0, size))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + (cut ? "...\"" : "\"");
}

std::string join(std::string_view path, std::string_view key) {
  std::string out(path);
  if (!out.empty()) out += '.';
  for (const char c : key.substr(0, kMaxQuoted)) out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return out;
}

std::string join(std::string_view path, std::size_t index) {
  return std::string(path) + '[' + std::to_string(index) + ']';
}

void Report::learn(const Node& node, const std::string& path) {
  places_.emplace_back(path, node.kind == Node::Kind::scalar ? node.mark : node.key_mark);
  for (std::size_t i = 0; i < node.children.size(); ++i)
    learn(node.children[i], node.kind == Node::Kind::map ? join(path, node.children[i].key) : join(path, i));
}

void Report::learn_places(const Node& root) {
  learn(root, "");
  // The first of duplicate keys is the one that is read; their order is kept.
  std::stable_sort(places_.begin(), places_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
}

void Report::add(std::string_view path, std::string what) {
  std::string_view part = path;
  while (true) {
    const auto place = std::lower_bound(places_.begin(), places_.end(), part,
                                        [](const auto& a, std::string_view b) { return a.first < b; });
    if (place != places_.end() && place->first == part) return add(place->second, path, std::move(what));
    if (part.empty()) return add(Mark{}, path, std::move(what));
    const std::size_t end = part.find_last_of(".[");
    part = end == std::string_view::npos ? std::string_view() : part.substr(0, end);
  }
}

void Report::add(Mark mark, std::string_view path, std::string what) {
  entries_.push_back({mark, (path.empty() ? "policy" : std::string(path)) + ": " + std::move(what)});
}

std::vector<Error> Report::errors() const {
  std::vector<Entry> sorted = entries_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Entry& a, const Entry& b) { return a.mark < b.mark; });
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<Error> errors;
  for (const Entry& entry : sorted) {
    const std::string where =
        file_ + ':' + std::to_string(entry.mark.line) + ':' + std::to_string(entry.mark.column);
    if (errors.size() == kMaxErrors) {
      errors.push_back({where, "policy: " + std::to_string(sorted.size() - kMaxErrors) +
                                   " more errors are not shown; correct those above first"});
      break;
    }
    errors.push_back({where, entry.what});
  }
  return errors;
}

Node parse_document(std::string_view text, Report& report) {
  TreeBuilder builder(report);
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return {};
    Node root = builder.take();
    TreeBuilder rest(report);
    if (parser.HandleNextDocument(rest)) {
      const Node second = rest.take();
      report.add(second.mark, "", "a second document begins; a policy is one document");
    }
    return root;
  } catch (const YAML::Exception& error) {
    report.add(mark_of(error.mark), "", "not YAML that can be read: " + error.msg);
  } catch (const std::exception& error) {
    report.add(Mark{}, "", std::string("not YAML that can be read: ") + error.what());
  }
  return {};
}

}  // namespace perigee::yaml
