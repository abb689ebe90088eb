#include "steering/plan_json.h"

#include <boost/json/value_from.hpp>

namespace perigee {
namespace {

namespace json = boost::json;

json::value choice_json(const std::optional<PlannedChoice>& choice) {
  if (!choice) return nullptr;
  return json::object{{"endpoint", choice->endpoint},
                      {"pop", choice->pop},
                      {"link", choice->link.empty() ? json::value(nullptr) : json::value(choice->link)},
                      {"share", choice->share}};
}

json::value ms_json(const std::optional<Nanos>& rtt) {
  return rtt ? json::value(static_cast<double>(rtt->count()) / 1e6) : json::value(nullptr);
}

json::object service_json(const PlannedService& service) {
  const bool both = service.change == PlannedChange::none || service.change == PlannedChange::changed;
  return {{"name", service.name},
          {"change", name_of(service.change)},
          {"to_host", service.to_host},
          {"keys", json::value_from(service.keys)},
          {"before", choice_json(service.before)},
          {"after", choice_json(service.after)},
          {"moved", both ? json::value(service.moved) : json::value(nullptr)},
          {"rtt_before_ms", ms_json(service.rtt_before)},
          {"rtt_after_ms", ms_json(service.rtt_after)}};
}

}  // namespace

json::value plan_json(const Plan& plan) {
  json::array services, endpoints, listeners;
  for (const PlannedService& service : plan.services) services.push_back(service_json(service));
  for (const PlannedEndpoint& endpoint : plan.endpoints)
    endpoints.push_back(
        json::object{{"name", endpoint.name},
                     {"change", name_of(endpoint.what)},
                     {"flows", endpoint.flows ? json::value(*endpoint.flows) : json::value(nullptr)}});
  for (const PlannedListener& listener : plan.listeners)
    listeners.push_back(json::object{{"name", listener.name},
                                     {"address", listener.address.text()},
                                     {"port", listener.port},
                                     {"change", listener.opened ? "opened" : "closed"}});
  return json::object{{"result", plan.same ? "no_change" : "change"},
                      {"measured", plan.measured},
                      {"sections", json::value_from(plan.sections)},
                      {"services", std::move(services)},
                      {"endpoints", std::move(endpoints)},
                      {"listeners", std::move(listeners)}};
}

}  // namespace perigee
