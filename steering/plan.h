// What a policy would change if it were applied, before it is: pure. Both policies are decided under the same
// Conditions by route() until nothing moves any more, so neither what waits in the policy in force nor dwell
// and hold hide what the new one is the cause of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/address.h"
#include "contract/units.h"
#include "steering/conditions.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

struct PlannedChoice {
  std::string endpoint, pop;
  std::string link;  // empty: in this PoP
  double share = 0;  // of the first tier, by weight
  friend bool operator==(const PlannedChoice&, const PlannedChoice&) = default;
};

enum class PlannedChange : std::uint8_t { none, changed, added, removed };
[[nodiscard]] const char* name_of(PlannedChange change);  // "none", ...

// A service of the data plane, or a pool of a routed one.
struct PlannedService {
  std::string name;      // "chat", "ai/llama", "ai/llama/canary"
  bool to_host = false;  // delivered to this host: nothing is chosen for it
  PlannedChange change = PlannedChange::none;
  std::vector<std::string> keys;               // of it that are written differently, "max_rtt"
  std::optional<PlannedChoice> before, after;  // the largest share of the first tier; absent: refused
  double moved =
      0;  // share of new flows that would go elsewhere, or be refused or served where they were not
  std::optional<Nanos> rtt_before, rtt_after;  // of the first tier, by weight; absent: not all of it is known
};

enum class PlannedEnd : std::uint8_t {
  added,
  removed,  // its flows are reset
  drained,  // takes no new flows; its flows are reset when its drain is over
  resumed,  // drained no more
  reset     // its flows are reset at once
};
[[nodiscard]] const char* name_of(PlannedEnd end);  // "added", ...

struct PlannedEndpoint {
  std::string name;
  PlannedEnd what = PlannedEnd::added;
  std::optional<std::uint64_t> flows;  // it has now
};

struct PlannedListener {
  std::string name;
  IpAddress address;
  std::uint16_t port = 0;
  bool opened = false;  // else closed
};

struct Plan {
  bool same = false;                       // the policies say the same
  bool measured = false;                   // by measurements; else by the policy's static order
  std::vector<std::string> sections;       // of the file that are written differently, without "services"
  std::vector<PlannedService> services;    // all of them: the new policy's in its order, then those removed
  std::vector<PlannedEndpoint> endpoints;  // only those that something happens to
  std::vector<PlannedListener> listeners;  // the same
};

// `text` is what `policy` was read from.
struct PolicyWithText {
  const Policy& policy;
  std::string_view text;
};

// `conditions` and `route` are of `before`, as of `now`. What `after` has in common with it keeps its
// measurements by its id, if its addresses are the same; all else is unknown.
[[nodiscard]] Plan plan(PolicyWithText before, PolicyWithText after, const Conditions& conditions,
                        const Route& route, Instant now);
// The same with nothing measured, by the static order of both; `wall`: for windows and pins.
[[nodiscard]] Plan plan(PolicyWithText before, PolicyWithText after, std::optional<WallTime> wall);

}  // namespace perigee
