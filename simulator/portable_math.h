// Logarithm, exponential and sine from the four operations alone, which IEEE 754 rounds the same everywhere:
// those of a C library differ in the last digit between machines, and one digit is another run.
#pragma once

namespace perigee::simulator {

[[nodiscard]] double portable_log(double x);  // natural; x > 0
[[nodiscard]] double portable_exp(double x);  // |x| < 700
// Sine of `turns` full turns; |turns| < 1e6.
[[nodiscard]] double portable_sine_of_turns(double turns);

}  // namespace perigee::simulator
