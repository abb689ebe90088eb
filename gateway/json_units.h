// Times as the admin API and the log lines give them.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>

#include "contract/units.h"
#include "steering/conditions.h"

namespace perigee::gateway {

inline double milliseconds(Nanos duration) { return static_cast<double>(duration.count()) / 1e6; }
inline double seconds(Nanos duration) { return static_cast<double>(duration.count()) / 1e9; }

inline boost::json::value milliseconds_or_null(const std::optional<Nanos>& duration) {
  return duration ? boost::json::value(milliseconds(*duration)) : boost::json::value(nullptr);
}

// Null when it never was.
inline boost::json::value age_seconds(Instant since, Instant now) {
  return since.never() ? boost::json::value(nullptr) : boost::json::value(seconds(now - since));
}

// Null while unknown.
inline boost::json::value flow_times_json(const std::optional<Conditions::FlowTimes>& times) {
  if (!times) return nullptr;
  return boost::json::object{
      {"min", milliseconds(times->min)}, {"p50", milliseconds(times->p50)}, {"samples", times->samples}};
}

}  // namespace perigee::gateway
