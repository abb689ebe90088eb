// Which endpoint takes a new flow: the first tier with a live candidate, weighted rendezvous within it.
// Candidates over links that are up come before all those over unknown links.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/flow_ends.h"
#include "dataplane/serving_table.h"

namespace perigee {

// `service`: index. `key`: rendezvous_key(). Without `after`: the best. With `after`: the next in order
// behind that endpoint, round and round; never itself. Nothing: there is none.
std::optional<Place> choose_endpoint(const ServingTable& table, FlowEnds& ends, std::uint32_t service,
                                     std::uint64_t key, LinkView links,
                                     std::optional<Place> after = std::nullopt);

// The link of the endpoint's first live candidate in the service; nothing: it has none, or needs no link.
std::optional<std::uint32_t> candidate_link(const ServingTable& table, const FlowEnds& ends,
                                            std::uint32_t service, Place endpoint, LinkView links);

// The service has candidates, and every one has weight 0: it was taken out of service on purpose.
[[nodiscard]] bool is_drained(const ServingTable& table, std::uint32_t service);

}  // namespace perigee
