// Chance that is the same on every machine: the generator and all distributions are ours.
#pragma once

#include <array>
#include <cstdint>

namespace perigee::simulator {

// SplitMix64's finalizer (Steele, Lea, Flood, 2014): every bit of the result depends on every bit of `x`.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

// Chance by name instead of by turn: the same three words give the same number, whatever else was drawn. What
// happens to a request on a link must not depend on the rule that sent it there.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return mix(mix(mix(a) ^ b) ^ c);
}

// Uniform over [0, 1), of the 53 upper bits.
[[nodiscard]] constexpr double unit(std::uint64_t bits) {
  return static_cast<double>(bits >> 11U) * 0x1.0p-53;
}

// xoshiro256** (Blackman, Vigna, 2018).
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) word = seed = mix(seed);
  }

  std::uint64_t next() {
    const std::uint64_t result = turn(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = turn(state_[3], 45);
    return result;
  }

  double uniform() { return unit(next()); }
  // 0 .. bound-1; bound > 0. The bias of bound / 2^32 is far below what any run could show.
  std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>(((next() >> 32U) * bound) >> 32U);
  }
  double exponential();                           // of mean 1
  double normal();                                // of mean 0 and deviation 1 (Marsaglia's polar method)
  double lognormal(double median, double sigma);  // sigma: deviation of the logarithm
  double gamma(double shape);                     // of scale 1 (Marsaglia, Tsang, 2000); shape > 0

 private:
  static constexpr std::uint64_t turn(std::uint64_t x, unsigned by) { return (x << by) | (x >> (64U - by)); }
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace perigee::simulator
