#include "cli/json_text.h"
#include "cli/reading.h"
#include "cli/text_table.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

// One row a candidate: name and VIP stand in the first row of a service only.
class Rows {
 public:
  Rows(TextTable& table, const json::value& service) : table_(table), service_(service) {}

  void add(const std::string& tier, const json::value& candidate, const std::string& note) {
    const auto head = [&](const char* path) { return first_ ? text_at(service_, path) : std::string(); };
    table_.add({head("/name"), head("/vip"), head("/protocol"), tier, text_at(candidate, "/endpoint"),
                text_at(candidate, "/pop"), text_at(candidate, "/link"), text_at(candidate, "/weight"),
                note});
    first_ = false;
  }
  [[nodiscard]] bool none() const { return first_; }

 private:
  TextTable& table_;
  const json::value& service_;
  bool first_ = true;
};

void add_service(TextTable& table, const json::value& service) {
  Rows rows(table, service);
  std::size_t tier_number = 0;
  for (const auto& tier : list_at(service, "/tiers")) {
    std::string note;
    if (tier_number == 0) {
      const std::string age = age_at(service, "/changed_age_s");
      note = age == "-" ? "new flows" : "new flows, since " + age;
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
  table.print(out, "no services");
}

}  // namespace

Verb services_verb() {
  return {"services",
          "every service: where its new flows go, and what stands behind",
          {},
          {kAdmin, kJson},
          [](const Arguments& arguments, Terminal& terminal) {
            return show(arguments, terminal, "/api/v1/services", print);
          }};
}

}  // namespace perigee::cli
