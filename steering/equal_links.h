// Links to one PoP that are as good as the one in use, so that flows are spread over them (`maximum_paths`,
// as in BGP). A link joins when it costs no more than the one in use and the band, in `dwell` evaluations in
// a row, and what came back first waits for its hold; it leaves at once when it may not be used, and by its
// cost when that is beyond five bands, in as many. So noise of 5 % moves no flow. An unknown cost changes
// nothing.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "contract/units.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

// `next` is ranked; its equal links follow from it and the Route before (none: nothing was equal).
void find_equal_links(PopRoute& next, const PopRoute* old, const Policy::Steering& law, Instant now);

// Links in the order in which a flow takes them: the first `equal` share flows. 0 or 1: none does.
struct LinkOrder {
  std::vector<LinkId> links;
  std::uint32_t equal = 0;
};

// Those that lead to the PoP: the one in use, its equals, the others.
[[nodiscard]] LinkOrder links_to(const PopRoute& pop, const Policy::Steering& law);

// The links of each endpoint of another PoP, best first: what its established flows use. In the order of its
// candidates in the first service that has any, so that they go where that service's new flows go, and only
// those share flows; then the others in the order of the PoP's links.
[[nodiscard]] std::map<EndpointId, LinkOrder> links_of_endpoints(const Policy& policy, const Route& route);

}  // namespace perigee
