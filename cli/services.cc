#include "cli/json_text.h"
#include "cli/reading.h"
#include "cli/text_table.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

// What stands in the first row of a service only.
struct Head {
  std::string name, vip, protocol;
};

// One row a candidate.
class Rows {
 public:
  Rows(TextTable& table, Head head) : table_(table), head_(std::move(head)) {}

  void add(const std::string& tier, const json::value& candidate, const std::string& note) {
    table_.add({head_.name, head_.vip, head_.protocol, tier, text_at(candidate, "/endpoint"),
                text_at(candidate, "/pop"), text_at(candidate, "/link"), text_at(candidate, "/weight"),
                note});
    head_ = {};
    first_ = false;
  }
  [[nodiscard]] bool none() const { return first_; }

 private:
  TextTable& table_;
  Head head_;
  bool first_ = true;
};

// `what` goes to the first tier.
void add_tiers(TextTable& table, Head head, const json::value& service, const std::string& what) {
  Rows rows(table, std::move(head));
  std::size_t tier_number = 0;
  for (const auto& tier : list_at(service, "/tiers")) {
    std::string note;
    if (tier_number == 0) {
      const std::string age = age_at(service, "/changed_age_s");
      note = what;
      if (age != "-") note.append(", since ").append(age);
    }
    for (const auto& candidate : list_at(tier, "")) rows.add(std::to_string(tier_number), candidate, note);
    ++tier_number;
  }
  for (const auto& candidate : list_at(service, "/excluded")) {
    rows.add("-", candidate, "excluded: " + text_at(candidate, "/reason"));
  }
  if (rows.none()) {
    rows.add("-", json::value(),
             text_at(service, "/deliver") == "host" ? "delivered to this host" : "no candidate: refused");
  }
}

void add_service(TextTable& table, const json::value& service) {
  add_tiers(table, {text_at(service, "/name"), text_at(service, "/vip"), text_at(service, "/protocol")},
            service, "new flows");
}

// A routed service: a row for each model and its canary, at the first address that clients find it at.
void add_routed(TextTable& table, const json::value& service) {
  const std::string address = text_at(service, "/listeners/0/address");
  const std::string protocol = is_true(service, "/listeners/0/tls") ? "https" : "http";
  for (const auto& model : list_at(service, "/models")) {
    const std::string name = text_at(service, "/name") + "/" + text_at(model, "/name");
    add_tiers(table, {name, address, protocol}, model, "requests");
    if (is_null(model, "/canary")) continue;
    add_tiers(table, {name + "/canary", address, protocol}, model.at_pointer("/canary"),
              text_at(model, "/canary/percent") + "% of keys and sessions");
  }
}

void print_pin(const json::value& service, std::ostream& out) {
  if (is_null(service, "/pin")) return;
  std::string to;
  for (const auto& name : list_at(service, "/pin/to")) to += (to.empty() ? "" : ", ") + text_at(name, "");
  const bool holds = is_true(service, "/pin/in_force");
  out << text_at(service, "/name") << (holds ? ": pinned until " : ": its pin expired at ")
      << text_at(service, "/pin/until") << (holds ? " to " : ", it was to ") << to << "\n";
}

void print(const json::value& answer, std::ostream& out) {
  TextTable table({{"SERVICE"},
                   {"VIP"},
                   {"PROTOCOL"},
                   {"TIER", true},
                   {"ENDPOINT"},
                   {"POP"},
                   {"LINK"},
                   {"WEIGHT", true},
                   {"NOTE"}});
  for (const auto& service : list_at(answer, "/services")) add_service(table, service);
  for (const auto& service : list_at(answer, "/routed")) add_routed(table, service);
  table.print(out, "no services");
  for (const char* kind : {"/services", "/routed"})
    for (const auto& service : list_at(answer, kind)) print_pin(service, out);
}

}  // namespace

Verb services_verb() {
  return {"services",
          "every service: where its new flows or requests go, and what stands behind",
          {},
          {kAdmin, kJson},
          [](const Arguments& arguments, Terminal& terminal) {
            return show(arguments, terminal, "/api/v1/services", print);
          }};
}

}  // namespace perigee::cli
