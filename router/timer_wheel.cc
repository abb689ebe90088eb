#include "router/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "router/signal.h"

namespace perigee::router {
namespace {

constexpr unsigned kSlotBits = 6;
constexpr std::uint64_t kSlotMask = TimerWheel::kSlots - 1;
constexpr std::uint64_t kNever = ~std::uint64_t{0};
static_assert(TimerWheel::kSlots == 1U << kSlotBits);

constexpr unsigned shift_of(std::size_t level) { return static_cast<unsigned>(level) * kSlotBits; }

std::uint64_t whole_ticks(Instant at) {
  return static_cast<std::uint64_t>(at.ns / TimerWheel::kTick.count());
}

}  // namespace

TimerWheel::TimerWheel(Instant start) : tick_(whole_ticks(start)) {}

void TimerWheel::insert(Timer& timer) {
  constexpr std::uint64_t kFarthest = (std::uint64_t{1} << shift_of(kLevels)) - 1;
  const std::uint64_t ahead = std::clamp<std::uint64_t>(timer.due_ - tick_, 1, kFarthest);
  const auto level = static_cast<std::size_t>(std::bit_width(ahead) - 1) / kSlotBits;
  const std::uint64_t slot = (tick_ + ahead) >> shift_of(level);
  timer.waits_ = slot << shift_of(level);
  timer.level_ = static_cast<std::uint8_t>(level);
  timer.slot_ = static_cast<std::uint8_t>(slot & kSlotMask);
  slots_[timer.level_][timer.slot_].push_back(timer);
  used_[timer.level_] |= std::uint64_t{1} << timer.slot_;
}

void TimerWheel::remove(Timer& timer) {
  timer.unlink();
  if (slots_[timer.level_][timer.slot_].alone()) used_[timer.level_] &= ~(std::uint64_t{1} << timer.slot_);
}

std::uint64_t TimerWheel::next_tick() const {
  std::uint64_t next = kNever;
  for (std::size_t level = 0; level < kLevels; ++level) {
    if (used_[level] == 0) continue;
    // The slot of the current tick was looked at already: what is in it now is a whole round away.
    const std::uint64_t first = (tick_ >> shift_of(level)) + 1;
    const auto distance = std::countr_zero(std::rotr(used_[level], static_cast<int>(first & kSlotMask)));
    next = std::min(next, (first + static_cast<std::uint64_t>(distance)) << shift_of(level));
  }
  return next;
}

std::optional<Instant> TimerWheel::next() const {
  const std::uint64_t tick = next_tick();
  if (tick == kNever) return std::nullopt;
  return Instant{static_cast<std::int64_t>(tick) * kTick.count()};
}

void TimerWheel::turn_slot(std::size_t level) {
  const std::uint64_t slot = (tick_ >> shift_of(level)) & kSlotMask;
  ChainLink waiting;
  slots_[level][slot].move_all_to(waiting);
  used_[level] &= ~(std::uint64_t{1} << slot);
  while (!waiting.alone()) {
    auto& timer = static_cast<Timer&>(*waiting.next);
    timer.unlink();
    if (timer.due_ > tick_) {
      insert(timer);
    } else {
      timer.expired_ = true;
      timer.signal_.raise();
    }
  }
}

void TimerWheel::advance(Instant now) {
  const std::uint64_t target = whole_ticks(now);
  for (std::uint64_t tick = next_tick(); tick <= target; tick = next_tick()) {
    tick_ = tick;
    for (std::size_t level = kLevels; level-- > 0;) {
      const bool at_its_start = (tick & ((std::uint64_t{1} << shift_of(level)) - 1)) == 0;
      if (at_its_start) turn_slot(level);
    }
  }
  tick_ = std::max(tick_, target);
}

void Timer::arm(Instant deadline) {
  const std::uint64_t ticks = whole_ticks(deadline);
  const bool whole = static_cast<std::int64_t>(ticks) * TimerWheel::kTick.count() == deadline.ns;
  due_ = std::max(ticks + (whole ? 0 : 1), wheel_.tick_ + 1);
  expired_ = false;
  // The usual case is a later deadline than before: it stays where it is, and moves on when that slot's time
  // comes.
  if (armed()) {
    if (due_ >= waits_) return;
    wheel_.remove(*this);
  }
  wheel_.insert(*this);
}

void Timer::disarm() {
  expired_ = false;
  if (armed()) wheel_.remove(*this);
}

}  // namespace perigee::router
