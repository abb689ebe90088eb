// The rules that are compared.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "simulator/dispatcher.h"

namespace perigee::simulator {

class World;

enum class RuleKind : std::uint8_t {
  nearest,         // the PoP of the least declared round trip; its endpoints in turn
  nearest_spill,   // the nearest PoP with an endpoint that has less than `limit` in flight; the least of it
  round_robin,     // all in turn
  least_requests,  // fewest in flight
  two_choices,     // of two drawn, the one with fewer in flight (Mitzenmacher 1996)
  peak_ewma,       // least peak-sensitive average of times to the first event, times in flight + 1 (Finagle)
  least_load,      // least time to work off what waits and was sent since the poll (SMG least_load)
  rtt_only,        // by the measured round trip alone, a share of 1 / rtt^power
  ours,            // steering/choice.h over the tiers of route()
  oracle           // knows everything; see oracle.h
};
inline constexpr std::array kAllRules = {
    RuleKind::nearest,     RuleKind::nearest_spill, RuleKind::round_robin, RuleKind::least_requests,
    RuleKind::two_choices, RuleKind::peak_ewma,     RuleKind::least_load,  RuleKind::rtt_only,
    RuleKind::ours,        RuleKind::oracle};
[[nodiscard]] const char* name_of(RuleKind rule);  // "nearest", "nearest-spill", ...
[[nodiscard]] std::optional<RuleKind> rule_of(std::string_view name);
[[nodiscard]] constexpr bool is_simple(RuleKind rule) {
  return rule != RuleKind::ours && rule != RuleKind::oracle;
}

// What is tuned, by the rule: up to two numbers, each with its meaning in rules.cc.
struct Tuning {
  double first = 0, second = 0;
  friend bool operator==(const Tuning&, const Tuning&) = default;
};
struct Grid {
  std::string_view first_name, second_name;  // empty: not there
  std::vector<Tuning> points;                // what --tune tries
};
[[nodiscard]] Grid grid_of(RuleKind rule);
[[nodiscard]] Tuning tuned(RuleKind rule);  // the frozen ones (tuned.h)

// `world` is for the oracle and outlives the dispatcher; `gateway` is whose choices it makes.
[[nodiscard]] std::unique_ptr<Dispatcher> make_dispatcher(RuleKind rule, const Tuning& tuning,
                                                          const World& world, std::uint16_t gateway);

}  // namespace perigee::simulator
