#include "cli/decision_text.h"

#include <boost/json/parse.hpp>
#include <limits>

namespace perigee::cli {
namespace {

namespace json = boost::json;

// Members of one object; the first fault is kept.
class Members {
 public:
  Members(const json::object& object, std::string where, std::string& fault)
      : object_(object), where_(std::move(where)), fault_(fault) {}

  [[nodiscard]] const json::value* find(std::string_view name) const { return object_.if_contains(name); }
  void wrong(std::string_view name, std::string_view what) {
    if (fault_.empty()) fault_ = where_ + std::string(name) + " " + std::string(what);
  }
  // Its value, when it is there and a number that `Number` holds.
  template <class Number>
  void number(std::string_view name, Number& out, bool needed = true) {
    const json::value* value = find(name);
    if (value == nullptr) {
      if (needed) wrong(name, "is missing");
      return;
    }
    boost::system::error_code failed;
    const auto read = value->to_number<Number>(failed);
    if (failed) return wrong(name, "is not a number in its range");
    out = read;
  }
  void nanos(std::string_view name, Nanos& out) {
    std::int64_t count = out.count();
    number(name, count);
    out = Nanos(count);
  }
  void text(std::string_view name, std::string& out, bool needed = true) {
    const json::value* value = find(name);
    if (value != nullptr && value->is_string())
      out = value->get_string().c_str();
    else if (value != nullptr || needed)
      wrong(name, value == nullptr ? "is missing" : "is not a string");
  }
  void flag(std::string_view name, bool& out) {
    const json::value* value = find(name);
    if (value == nullptr) return;
    if (!value->is_bool()) return wrong(name, "is neither true nor false");
    out = value->get_bool();
  }

 private:
  const json::object& object_;
  std::string where_;
  std::string& fault_;
};

template <class Name>
bool find_name(std::string_view text, Name last, Name& out) {
  for (unsigned i = 0; i <= static_cast<unsigned>(last); ++i) {
    if (text != name_of(static_cast<Name>(i))) continue;
    out = static_cast<Name>(i);
    return true;
  }
  return false;
}

void read_law(const json::value* value, ChoiceLaw& law, std::string& fault) {
  if (value == nullptr || !value->is_object()) {
    if (fault.empty()) fault = "law is missing or no object";
    return;
  }
  Members members(value->get_object(), "law.", fault);
  members.number("draw", law.choices);
  members.nanos("spill_margin_ns", law.spill_margin);
  members.number("equal_ppm", law.equal_ppm);
  members.nanos("equal_absolute_ns", law.equal_absolute);
  members.nanos("affinity_margin_ns", law.affinity_margin);
  members.number("refresh_one_in", law.refresh_one_in);
}

void read_candidate(const json::object& object, const std::string& where, RecordedCandidate& out,
                    std::string& fault) {
  Members members(object, where, fault);
  Contender& seen = out.contender;
  members.text("endpoint", out.name);
  members.number("id", seen.endpoint.value);
  std::string barrier;
  members.text("barrier", barrier, false);
  if (!barrier.empty() && !find_name(barrier, Verdict::same_pop, seen.barrier))
    members.wrong("barrier", "names no barrier");
  members.flag("full", seen.full);
  members.flag("breaker_open", seen.breaker_open);
  members.flag("unhealthy", seen.unhealthy);
  members.flag("stale", seen.stale);
  members.number("tier", seen.tier);
  members.number("load", seen.load);
  members.number("weight", seen.weight);
  if (members.find("network_ns") != nullptr) members.nanos("network_ns", seen.cost.network.emplace());
  members.nanos("wait_ns", seen.cost.wait);
  members.nanos("service_ns", seen.cost.service);
  members.nanos("penalty_ns", seen.cost.penalty);
  members.number("in_flight", seen.read.in_flight, false);
  members.number("tokens_waiting", seen.read.tokens_waiting, false);
  members.number("engine_waiting", seen.read.engine_waiting, false);
}

void read_candidates(const json::value* value, DecisionRecord& out, std::string& fault) {
  if (value == nullptr || !value->is_array() || value->get_array().size() > kMaxContenders) {
    if (fault.empty()) fault = "candidates is missing, no list, or too long";
    return;
  }
  const json::array& items = value->get_array();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string where = "candidates[" + std::to_string(i) + "]";
    if (items[i].is_object())
      read_candidate(items[i].get_object(), where + ".", out.candidates.emplace_back(), fault);
    else if (fault.empty())
      fault = where + " is no object";
  }
}

}  // namespace

Result<DecisionRecord> parse_decision(std::string_view line) {
  boost::system::error_code failed;
  const json::value whole = json::parse(line, failed);
  if (failed || !whole.is_object()) return Error{"", "not a JSON object"};
  DecisionRecord out;
  std::string fault;
  Members members(whole.get_object(), "", fault);
  members.number("snapshot", out.snapshot, false);
  members.text("request_id", out.request_id, false);
  members.text("service", out.service, false);
  members.text("model", out.model, false);
  members.text("operation", out.operation, false);
  members.text("class", out.request_class, false);
  members.number("attempt", out.attempt, false);
  members.number("octets", out.octets, false);
  members.number("tokens", out.tokens, false);
  read_law(members.find("law"), out.law, fault);
  members.number("random", out.draw.random);
  if (members.find("prefix") != nullptr) members.number("prefix", out.draw.prefix.emplace());
  members.flag("hedge", out.draw.hedge);
  read_candidates(members.find("candidates"), out, fault);
  members.text("chosen", out.chosen, false);
  std::string rule;
  members.text("rule", rule);
  if (!rule.empty() && !find_name(rule, Rule::nothing_left, out.rule)) members.wrong("rule", "names no rule");
  if (!fault.empty()) return Error{"", fault};
  return out;
}

}  // namespace perigee::cli
