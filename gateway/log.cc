#include "gateway/log.h"

#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

namespace perigee::gateway {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

void write_to_standard_error(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    if (written <= 0) return;  // nowhere left to say it
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == text) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

Log::Log(LogLevel least) : Log(least, write_to_standard_error) {}

Log::Log(LogLevel least, Sink sink) : least_(least), sink_(std::move(sink)) {}

void Log::write(LogLevel level, std::string_view event, const boost::json::object& fields) const {
  if (level < least_) return;
  boost::json::object line;
  line["time"] = wall_clock_now();
  line["level"] = kLevelNames[static_cast<std::size_t>(level)];
  line["event"] = event;
  for (const auto& [key, value] : fields) line[key] = value;
  sink_(boost::json::serialize(line) + "\n");
}

std::string wall_clock_now() {
  using namespace std::chrono;
  const auto since_epoch = duration_cast<milliseconds>(system_clock::now().time_since_epoch());
  const std::time_t seconds = static_cast<std::time_t>(since_epoch.count() / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text.data() + length, text.size() - length, ".%03dZ",
                static_cast<int>(since_epoch.count() % 1000));
  return text.data();
}

}  // namespace perigee::gateway
