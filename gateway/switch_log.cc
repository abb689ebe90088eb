#include "gateway/switch_log.h"

#include <boost/json/value.hpp>

#include "gateway/json_units.h"

namespace perigee::gateway {
namespace {

namespace json = boost::json;

const char* reason_of(Usable usable) {
  switch (usable) {
    case Usable::yes:
      return "yes";
    case Usable::link_down:
      return "link_down";
    case Usable::over_max_rtt:
      return "over_max_rtt";
    case Usable::unhealthy:
      return "unhealthy";
    case Usable::full:
      return "full";
    case Usable::drained:
      return "drained";
  }
  return "";
}

json::value path_fields(const Policy& policy, const ServiceRoute* service, const std::optional<Path>& path) {
  if (!path) return nullptr;
  json::object fields;
  const Policy::Pop* pop = policy.pop(path->pop);
  fields["pop"] = pop == nullptr ? json::value(nullptr) : json::value(pop->name);
  const Policy::Link* link = policy.link(path->link);
  fields["link"] = link == nullptr ? json::value(nullptr) : json::value(link->name);
  const RankedPath* ranked = service == nullptr ? nullptr : service->ranking.find(*path);
  if (ranked == nullptr) return fields;  // the policy has it no longer
  fields["cost_ms"] = ranked->cost.known() ? json::value(milliseconds(ranked->cost.total())) : nullptr;
  fields["rtt_ms"] = milliseconds_or_null(ranked->cost.rtt);
  fields["loss_ms"] = milliseconds(ranked->cost.loss);
  fields["usable"] = reason_of(ranked->usable);
  return fields;
}

}  // namespace

json::object switch_fields(const Policy& policy, const Route& route, const Switch& change) {
  const ServiceRoute* ranked = route.service(change.service);
  const Policy::Service* service = policy.service(change.service);
  json::object fields;
  fields["service"] = service == nullptr ? json::value(nullptr) : json::value(service->name);
  fields["reason"] = name_of(change.reason);
  fields["from"] = path_fields(policy, ranked, change.from);
  fields["to"] = path_fields(policy, ranked, change.to);
  return fields;
}

}  // namespace perigee::gateway
