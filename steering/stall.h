// Whether it is we who stalled, rather than endpoints or paths that died. An endpoint that dies alone, or
// with its PoP, while a check passes elsewhere, is dead; all links silent is the data plane's to say. When
// for a whole turn of the checks none passed anywhere, and at least three endpoints of at least two PoPs, of
// which each had passed, failed since: then no three machines died in one second, but this host's own way to
// all of them (its port, its sockets, its CPU). With fewer there is no telling, and failing is taken at its
// word.
#pragma once

#include "steering/conditions.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

inline constexpr std::size_t kStallEndpoints = 3;
inline constexpr std::size_t kStallPops = 2;

[[nodiscard]] Frozen frozen(const Policy& policy, const Conditions& conditions, Instant now);

}  // namespace perigee
