#include "steering/decision_record.h"

#include <array>
#include <charconv>

namespace perigee {
namespace {

// Members of JSON objects, one after the other.
class Line {
 public:
  explicit Line(std::string& out) : out_(out) {}

  void key(std::string_view name) {
    const char last = out_.empty() ? '{' : out_.back();
    if (last != '{' && last != '[') out_ += ',';
    out_.append("\"").append(name).append("\":");
  }
  void string(std::string_view value) {
    out_ += '"';
    for (const char octet : value) {
      if (octet == '"' || octet == '\\') out_ += '\\';
      out_ += octet >= ' ' && octet <= '~' ? octet : '?';
    }
    out_ += '"';
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    string(value);
  }
  template <class Number>
  void number(std::string_view name, Number value) {
    key(name);
    std::array<char, 32> digits;
    out_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
  }
  void flag(std::string_view name, bool value) {  // left out when it does not hold
    if (!value) return;
    key(name);
    out_ += "true";
  }
  void open(char bracket) { out_ += bracket; }
  void separate() {
    if (out_.back() == '}') out_ += ',';
  }
  void close(char bracket) { out_ += bracket; }

 private:
  std::string& out_;
};

void append_law(Line& line, const ChoiceLaw& law) {
  line.key("law");
  line.open('{');
  line.number("draw", law.choices);
  line.number("spill_margin_ns", law.spill_margin.count());
  line.number("equal_ppm", law.equal_ppm);
  line.number("equal_absolute_ns", law.equal_absolute.count());
  line.number("affinity_margin_ns", law.affinity_margin.count());
  line.number("refresh_one_in", law.refresh_one_in);
  line.close('}');
}

void append_candidate(Line& line, const RecordedCandidate& candidate) {
  const Contender& seen = candidate.contender;
  line.separate();
  line.open('{');
  line.text("endpoint", candidate.name);
  line.number("id", seen.endpoint.value);
  if (seen.barrier != Verdict::chosen) line.text("barrier", name_of(seen.barrier));
  line.flag("full", seen.full);
  line.flag("breaker_open", seen.breaker_open);
  line.flag("unhealthy", seen.unhealthy);
  line.flag("stale", seen.stale);
  line.number("tier", seen.tier);
  line.number("load", seen.load);
  line.number("weight", seen.weight);
  if (seen.cost.network) line.number("network_ns", seen.cost.network->count());
  line.number("wait_ns", seen.cost.wait.count());
  line.number("service_ns", seen.cost.service.count());
  line.number("penalty_ns", seen.cost.penalty.count());
  line.number("in_flight", seen.read.in_flight);
  line.number("tokens_waiting", seen.read.tokens_waiting);
  if (seen.read.engine_waiting >= 0) line.number("engine_waiting", seen.read.engine_waiting);
  line.close('}');
}

}  // namespace

void append_line(std::string& out, const DecisionRecord& record) {
  Line line(out);
  line.open('{');
  line.number("snapshot", record.snapshot);
  line.text("request_id", record.request_id);
  line.text("service", record.service);
  line.text("model", record.model);
  line.text("operation", record.operation);
  if (!record.request_class.empty()) line.text("class", record.request_class);
  if (!record.residency.empty()) {
    line.key("residency");
    line.open('[');
    for (std::size_t i = 0; i < record.residency.size(); ++i) {
      if (i > 0) out += ',';
      line.string(record.residency[i]);
    }
    line.close(']');
  }
  line.number("attempt", record.attempt);
  line.number("octets", record.octets);
  line.number("tokens", record.tokens);
  append_law(line, record.law);
  line.number("random", record.draw.random);
  if (record.draw.prefix) line.number("prefix", *record.draw.prefix);
  line.flag("hedge", record.draw.hedge);
  line.key("candidates");
  line.open('[');
  for (const RecordedCandidate& candidate : record.candidates) append_candidate(line, candidate);
  line.close(']');
  if (!record.chosen.empty()) line.text("chosen", record.chosen);
  line.text("rule", name_of(record.rule));
  line.close('}');
  out += '\n';
}

std::string replay(const DecisionRecord& record) {
  std::vector<Contender> contenders;
  for (const RecordedCandidate& candidate : record.candidates) contenders.push_back(candidate.contender);
  const Choice again = choose(contenders, record.law, record.draw);
  const std::string chosen = again.candidate ? record.candidates[*again.candidate].name : "";
  if (chosen == record.chosen && again.rule == record.rule) return "";
  const auto said = [](const std::string& name, Rule rule) {
    return (name.empty() ? std::string("none") : name) + " (" + name_of(rule) + ")";
  };
  return "was " + said(record.chosen, record.rule) + ", is " + said(chosen, again.rule) + " now";
}

}  // namespace perigee
