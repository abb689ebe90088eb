// WHICH CANDIDATE A REQUEST GETS: pure, by values alone; a record of the values gives the same answer again.
//
// 1. Never: a candidate with a barrier (barred by the operator or the Route, tried, outside the residency
// ...).
// 2. Of the rest, those nothing speaks against; when there are none, the panic order: the full ones, then
//    those with an open breaker, then unhealthy ones, then both.
// 3. Of these, the first tier that has any. It is left for a later one only when the least cost in it is more
//    than the least cost there and a margin (`spill_margin`), both known.
// 4. Within the tier, `choices` are drawn by weight (weighted rendezvous, contract/rendezvous.h, by the
// draw),
//    and the one that costs least is taken. Costs that are as good as equal (`equal`) go by requests in
//    flight for the weight; at equal ones the first drawn stays, so that shares are the weights'.
//    Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996: a few draws are enough
//    against the herd that follows one stale minimum.
// 5. With a prefix to be kept together, the first drawn by the prefix is taken instead while it costs no more
//    than `affinity_margin` above the least, and has no more in flight than the least of the others drawn, a
//    quarter and two requests (Mirrokni et al., "Consistent Hashing with Bounded Loads", 2018, by samples).
// 6. A candidate whose estimate was not refreshed for `refresh_after` gets one request in `refresh_one_in`,
//    if it costs no more than half above the least.
// A hedge, a second attempt beside one that is under way, ends with step 4, and takes none that anything
// speaks against.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "contract/table.h"
#include "contract/units.h"
#include "steering/request_cost.h"

namespace perigee {

// What kept or keeps a candidate out, or how it fared.
enum class Verdict : std::uint8_t {
  chosen,
  lost,          // drawn, and it costs more, or has more in flight for its weight
  not_drawn,     // as good, but chance named others
  behind,        // another tier was used
  full,          // at its capacity
  breaker_open,  // or half open with a trial under way
  unhealthy,
  retry_after,
  model_absent,
  residency,
  barred,
  tried,
  pinned_elsewhere,  // the request names other endpoints, or a response that another one has
  same_pop           // in that of the attempt that it is to be a hedge for
};
[[nodiscard]] const char* name_of(Verdict verdict);  // "chosen", ...

// The rule that ended the choice.
enum class Rule : std::uint8_t {
  only_one,      // a single candidate was left in the tier
  less_cost,     // of those drawn
  less_load,     // they cost the same; it has less in flight for its weight
  first_drawn,   // the same there too
  affinity,      // the prefix's own
  refresh,       // its estimate was too old
  hedge,         // as above, beside another attempt
  nothing_left,  // no candidate may be used: see Choice::retry_at
};
[[nodiscard]] const char* name_of(Rule rule);

// One candidate as a choice sees it.
struct Contender {
  EndpointId endpoint;
  Verdict barrier = Verdict::chosen;  // the first thing of step 1 that speaks against it; chosen: none
  bool full = false, breaker_open = false, unhealthy = false;
  bool stale = false;  // its estimate was not refreshed for long
  std::uint8_t tier = 0;
  std::uint32_t load = 1;    // in flight + 1 + failures
  std::uint32_t weight = 1;  // effective, never 0
  CostTerms cost;
  Instant retry_at;  // of barrier retry_after
  // What the cost and the load were made of: for people, no rule looks at it.
  struct Read {
    std::uint32_t in_flight = 0;
    std::uint64_t tokens_waiting = 0;  // of prompts sent by this gateway, without an answer yet
    std::int64_t engine_waiting = -1;  // requests, as the engine said last; -1: unknown
    friend bool operator==(const Read&, const Read&) = default;
  };
  Read read;
  friend bool operator==(const Contender&, const Contender&) = default;
};

inline constexpr std::size_t kMaxContenders = table::kMaxCandidatesPerTier;
inline constexpr std::size_t kMaxChoices = 4;  // drawn at once; more is a herd

// The constants of the law (policy: router.choice, router.classes).
struct ChoiceLaw {
  std::uint32_t choices = 4;
  Nanos spill_margin = std::chrono::milliseconds(2);
  std::uint32_t equal_ppm = 20'000;  // of the cost, in millionths
  Nanos equal_absolute = std::chrono::microseconds(100);
  Nanos affinity_margin{0};  // 0: no prefix is kept together
  Nanos refresh_after = std::chrono::seconds(60);
  std::uint32_t refresh_one_in = 100;
  friend bool operator==(const ChoiceLaw&, const ChoiceLaw&) = default;
};

// What chance and the request bring.
struct Draw {
  std::uint64_t random = 0;  // uniform over all values
  std::optional<std::uint64_t>
      prefix;  // hash of what the prompt begins with; absent: nothing to keep together
  bool hedge = false;
  friend bool operator==(const Draw&, const Draw&) = default;
};

struct Choice {
  std::optional<std::uint8_t> candidate;  // index; none: nothing_left
  Rule rule = Rule::nothing_left;
  bool panic = false;      // it is one that something speaks against: admit() its breaker by force
  bool spilled = false;    // a tier before it has candidates that may be used, at more cost
  std::uint8_t count = 0;  // candidates
  std::array<Verdict, kMaxContenders> verdicts{};  // beside the candidates; the first `count`
  Instant retry_at;  // with nothing left: when the first Retry-After ends; never: waiting does not help
};

// At most kMaxContenders are looked at, of distinct endpoints. No allocation, no clock, no randomness of its
// own.
[[nodiscard]] Choice choose(std::span<const Contender> contenders, const ChoiceLaw& law, const Draw& draw);

// What a choice came from, cut to the candidates that it rests on: choose() over these gives the same one by
// the same rule. `out` has room for kMaxRecorded; all contenders, in their order, when they are no more.
// Returns the part that was written.
inline constexpr std::size_t kMaxRecorded =
    8;  // drawn, the prefix's own, a stale one, the least of two tiers
std::span<const Contender> decisive(std::span<const Contender> contenders, const ChoiceLaw& law,
                                    const Draw& draw, std::span<Contender> out);

}  // namespace perigee
