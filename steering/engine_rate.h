// How fast an engine takes prompts in, and how long they are, learned from successive readings of its
// metrics. Pure: the times are those of the readings.
#pragma once

#include <optional>

#include "contract/units.h"
#include "steering/engine_metrics.h"

namespace perigee {

class EngineRate {
 public:
  // Busy time after which what was learned counts half. Engines count a prompt when its prefill is over, so
  // that a look of 250 ms sees none or a whole one of many thousand tokens: this spans some tens of prompts.
  static constexpr Nanos kHalfLife = std::chrono::seconds(10);
  static constexpr Nanos kEnough = std::chrono::seconds(1);  // of busy time, before there is a rate
  // Between two readings farther apart the queue may have been empty for long.
  static constexpr Nanos kMaxGap = std::chrono::minutes(2);
  static constexpr double kHalfLifeRequests = 100;  // the same for the length of prompts

  // Readings in the order of their time, of one endpoint.
  void take(const EngineLoad& load);

  // Prompt tokens a second while the engine's queue was not empty at both ends of an interval: what it can
  // do, not what it was asked for. Absent until that was seen for long enough.
  [[nodiscard]] std::optional<double> prefill_rate() const;
  // Tokens of a prompt. Absent until the engine tells of one.
  [[nodiscard]] std::optional<double> prompt_tokens() const;
  // From the queue to the first token, of the requests of late. Absent until kEnoughRequests were seen
  // between two readings: what was before the first reading may be of another day.
  static constexpr double kEnoughRequests = 5;
  [[nodiscard]] std::optional<Nanos> prefill_time() const;

 private:
  void take_rate(const EngineLoad& load);
  void take_length(const EngineLoad& load);
  void take_prefill(const EngineLoad& load);

  std::optional<EngineLoad> before_;
  double tokens_ = 0, busy_seconds_ = 0;  // both fade by kHalfLife
  EngineLoad::Observed lengths_;          // fades by kHalfLifeRequests
  EngineLoad::Observed prefills_;         // the same
};

}  // namespace perigee
