// One JSON line per state change, on standard error. A line is written with one write(2), so lines of two
// threads never mix. Lines are for events; measurements belong into the metrics.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace perigee::gateway {

enum class LogLevel { debug, info, warning, error };

// "debug", "info", "warning", "error"; nothing else.
std::optional<LogLevel> parse_log_level(std::string_view text);

// Thread-safe as far as its sink is; the default sink is.
class Log {
 public:
  using Sink = std::function<void(std::string_view line)>;  // `line` ends in a newline

  explicit Log(LogLevel least = LogLevel::info);  // to standard error
  Log(LogLevel least, Sink sink);

  // `event` is a stable name ("endpoint_health"); `fields` follow it in their order.
  void write(LogLevel level, std::string_view event, const boost::json::object& fields = {}) const;

 private:
  LogLevel least_;
  Sink sink_;
};

// Wall-clock time in RFC 3339 with milliseconds and Z, for lines and answers that people read.
std::string wall_clock_now();

}  // namespace perigee::gateway
