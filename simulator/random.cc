#include "simulator/random.h"

#include <cmath>

#include "simulator/portable_math.h"

namespace perigee::simulator {

double Random::exponential() { return -portable_log(1 - uniform()); }

double Random::normal() {
  for (;;) {
    const double u = 2 * uniform() - 1;
    const double v = 2 * uniform() - 1;
    const double s = u * u + v * v;
    if (s > 0 && s < 1) return u * std::sqrt(-2 * portable_log(s) / s);
  }
}

double Random::lognormal(double median, double sigma) { return median * portable_exp(sigma * normal()); }

double Random::gamma(double shape) {
  if (shape < 1) {
    const double more = gamma(shape + 1);
    return more * portable_exp(portable_log(1 - uniform()) / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (portable_log(1 - uniform()) < 0.5 * x * x + d - d * v + d * portable_log(v)) return d * v;
  }
}

}  // namespace perigee::simulator
