// Classes of requests: constants that hold for the requests of some models apart from the others.
#pragma once

#include <cstddef>
#include <string>

#include "steering/choice.h"

namespace perigee {

inline constexpr std::size_t kMaxClasses = 32;  // each is in metrics

struct RequestClass {
  std::string name;  // empty: of the models that name none
  ChoiceLaw choice;
  friend bool operator==(const RequestClass&, const RequestClass&) = default;
};

}  // namespace perigee
