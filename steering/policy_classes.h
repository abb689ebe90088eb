// Classes of requests: constants that hold for the requests of some models apart from the others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "steering/choice.h"

namespace perigee {

inline constexpr std::size_t kMaxClasses = 32;  // each is in metrics

// When a second attempt at another PoP may go beside one that takes long; the first to answer is the answer.
struct HedgeLaw {
  std::uint32_t share_ppm =
      20'000;                   // of requests, and of tokens of their prompts, in millionths; at most so many
  std::uint32_t samples = 200;  // times to the first event that must be known
  friend bool operator==(const HedgeLaw&, const HedgeLaw&) = default;
};

struct RequestClass {
  std::string name;  // empty: of the models that name none
  ChoiceLaw choice;
  std::optional<HedgeLaw> hedge = {};  // absent: none
  friend bool operator==(const RequestClass&, const RequestClass&) = default;
};

}  // namespace perigee
