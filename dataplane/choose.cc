#include "dataplane/choose.h"

#include <algorithm>

#include "contract/rendezvous.h"

namespace perigee {

namespace {

// The links a round of the search may use: up first, then unknown.
enum class Round : std::uint8_t { up, unknown };
constexpr std::array<Round, 2> kRounds = {Round::up, Round::unknown};

bool usable(std::uint32_t link, LinkView links, Round round) {
  if (link == table::kNone) return round == Round::up;  // in this PoP
  const std::uint64_t among = round == Round::up ? links.up : links.unknown & ~links.up;
  return (among >> link & 1U) != 0;
}

struct Search {
  const ServingTable& table;
  FlowEnds& ends;
  std::uint64_t key;
  LinkView links;
  std::optional<Place> except;

  struct Found {
    Place place = kNoPlace;
    RendezvousRank rank;
  };
  // The best of a tier that comes after `behind`; with `only`, that endpoint.
  [[nodiscard]] std::optional<Found> best(const table::Tier& tier, Round round, const RendezvousRank* behind,
                                          std::optional<Place> only) const {
    std::optional<Found> found;
    for (const table::Candidate& candidate : table.candidates_of(tier)) {
      if (candidate.weight == 0 || !usable(candidate.link, links, round)) continue;
      const Place place = ends.endpoint_of_index(candidate.endpoint);
      if (place == kNoPlace || (only ? place != *only : place == except)) continue;
      const KnownEndpoint& endpoint = ends.endpoint(place);
      if (!endpoint.accepts_new || endpoint.condition != KnownEndpoint::Condition::live) continue;
      const RendezvousRank rank = rendezvous_rank(key, endpoint.id, candidate.weight);
      if (behind != nullptr && !(*behind < rank)) continue;
      if (!found || rank < found->rank) found = Found{place, rank};
    }
    return found;
  }
};

}  // namespace

std::optional<Place> choose_endpoint(const ServingTable& table, FlowEnds& ends, std::uint32_t service,
                                     std::uint64_t key, LinkView links, std::optional<Place> after) {
  const auto tiers = table.tiers_of(table.table().services[service]);
  const Search search{table, ends, key, links, after};
  if (after) {
    std::optional<Search::Found> current;
    for (const Round round : kRounds) {
      for (const table::Tier& tier : tiers) {
        const RendezvousRank* behind = nullptr;
        if (!current) {
          current = search.best(tier, round, nullptr, after);
          if (!current) continue;  // before its tier
          behind = &current->rank;
        }
        if (const auto found = search.best(tier, round, behind, std::nullopt)) return found->place;
      }
    }
  }
  for (const Round round : kRounds) {
    for (const table::Tier& tier : tiers) {
      if (const auto found = search.best(tier, round, nullptr, std::nullopt)) return found->place;
    }
  }
  return std::nullopt;
}

std::optional<std::uint32_t> candidate_link(const ServingTable& table, const FlowEnds& ends,
                                            std::uint32_t service, Place endpoint, LinkView links) {
  for (const Round round : kRounds) {
    for (const table::Tier& tier : table.tiers_of(table.table().services[service])) {
      for (const table::Candidate& candidate : table.candidates_of(tier)) {
        if (candidate.weight == 0 || ends.endpoint_of_index(candidate.endpoint) != endpoint) continue;
        if (candidate.link != table::kNone && usable(candidate.link, links, round)) return candidate.link;
      }
    }
  }
  return std::nullopt;
}

bool is_drained(const ServingTable& table, std::uint32_t service) {
  bool any = false;
  for (const table::Tier& tier : table.tiers_of(table.table().services[service])) {
    for (const table::Candidate& candidate : table.candidates_of(tier)) {
      if (candidate.weight != 0) return false;
      any = true;
    }
  }
  return any;
}

}  // namespace perigee
