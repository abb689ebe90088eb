// Times that are spread, so that many who wait for the same do not all come at once.
#pragma once

#include <cstdint>
#include <random>

#include "contract/units.h"

namespace perigee::gateway {

class Jitter {
 public:
  // `interval` times something between the two factors.
  Nanos spread(Nanos interval, double from, double to) {
    const double factor = std::uniform_real_distribution<double>(from, to)(random_);
    return Nanos(static_cast<std::int64_t>(static_cast<double>(interval.count()) * factor));
  }

 private:
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace perigee::gateway
