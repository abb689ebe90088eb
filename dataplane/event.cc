#include "dataplane/event.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace perigee {
namespace {

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {  // RFC 8259 section 7: control characters are escaped
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escaped.data();
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string utc(Nanos unix_time) {
  const std::int64_t milliseconds = unix_time.count() / 1'000'000;
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text.data() + size, text.size() - size, ".%03dZ", static_cast<int>(milliseconds % 1000));
  return text.data();
}

const char* name_of(telemetry::LinkState state) {
  switch (state) {
    case telemetry::LinkState::unknown:
      return "unknown";
    case telemetry::LinkState::up:
      return "up";
    case telemetry::LinkState::degraded:
      return "degraded";
    case telemetry::LinkState::down:
      return "down";
  }
  return "unknown";
}

std::atomic<std::uint64_t> lost_lines{0};

Nanos unix_now() { return std::chrono::system_clock::now().time_since_epoch(); }

// A reader that does not read must not hold up the control thread: what finds no room is lost.
void write_line(std::string line) {
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (poll(&room, 1, 0) != 1) return count_lost_line();
  if (const std::uint64_t lost = lost_lines.exchange(0); lost != 0)
    line.insert(0, log_line("lines_lost", {{"count", std::to_string(lost)}}, unix_now()));
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void count_lost_line() { ++lost_lines; }

std::string log_line(std::string_view event, const std::vector<LogField>& fields, Nanos unix_time) {
  std::string line = "{\"time\":";
  append_quoted(line, utc(unix_time));
  line += ",\"event\":";
  append_quoted(line, event);
  for (const auto& [key, value] : fields) {
    line += ',';
    append_quoted(line, key);
    line += ':';
    append_quoted(line, value);
  }
  return line + "}\n";
}

std::string log_line(const Event& event, Nanos unix_time) {
  const std::string subject(event.subject.view());
  const std::string address = IpAddress::v4(event.address).text();
  switch (event.kind) {
    case Event::Kind::link_state:
      return log_line("link_state",
                      {{"link", subject}, {"from", name_of(event.from)}, {"to", name_of(event.to)}},
                      unix_time);
    case Event::Kind::port_up:
      return log_line("port_up", {{"port", subject}}, unix_time);
    case Event::Kind::port_down:
      return log_line("port_down", {{"port", subject}}, unix_time);
    case Event::Kind::neighbor_moved:
      return log_line("neighbor_moved",
                      {{"port", subject},
                       {"address", address},
                       {"from", event.mac_before.text()},
                       {"to", event.mac.text()}},
                      unix_time);
    case Event::Kind::neighbor_unreachable:
      return log_line("neighbor_unreachable", {{"port", subject}, {"address", address}}, unix_time);
    case Event::Kind::neighbor_pin_differs:
      return log_line("neighbor_pin_differs",
                      {{"port", subject},
                       {"address", address},
                       {"pinned", event.mac_before.text()},
                       {"announced", event.mac.text()}},
                      unix_time);
    case Event::Kind::address_conflict:
      return log_line("address_conflict",
                      {{"port", subject}, {"address", address}, {"claimed_by", event.mac.text()}}, unix_time);
  }
  return {};
}

void write_log(std::string_view event, const std::vector<LogField>& fields) {
  write_line(log_line(event, fields, unix_now()));
}

void write_log(const Event& event) { write_line(log_line(event, unix_now())); }

}  // namespace perigee
