#include "simulator/portable_math.h"

#include <cmath>

namespace perigee::simulator {
namespace {

constexpr double kLn2 = 0.69314718055994530942;
constexpr double kPi = 3.14159265358979323846;
constexpr double kRootHalf = 0.70710678118654752440;

}  // namespace

double portable_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // exact
  if (mantissa < kRootHalf) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 artanh((m-1)/(m+1)); |s| < 0.172, so the terms left out are below 1e-16.
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int k = 19; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2 * s * sum + exponent * kLn2;
}

double portable_exp(double x) {
  const double whole = std::floor(x / kLn2 + 0.5);
  const double r = x - whole * kLn2;  // |r| < 0.35
  double sum = 1;
  for (int k = 14; k >= 1; --k) sum = 1 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(whole));
}

double portable_sine_of_turns(double turns) {
  double part = turns - std::floor(turns + 0.5);  // -0.5 .. 0.5
  if (part > 0.25) part = 0.5 - part;
  if (part < -0.25) part = -0.5 - part;
  const double x = 2 * kPi * part;
  double sum = 1;
  for (int k = 18; k >= 2; k -= 2) sum = 1 - sum * x * x / (k * (k + 1));
  return x * sum;
}

}  // namespace perigee::simulator
