#include "router/json_line.h"

#include <ctime>

namespace perigee::router {
namespace {

std::string_view time_text(std::chrono::system_clock::time_point at, std::array<char, 40>& out) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::size_t size = std::strftime(out.data(), out.size(), "%Y-%m-%dT%H:%M:%S.000Z", &parts);
  const auto rest = static_cast<int>(ms % 1000);
  for (int i = 0, left = rest; i < 3; ++i, left /= 10)
    out[size - 2 - static_cast<std::size_t>(i)] = static_cast<char>('0' + left % 10);
  return {out.data(), size};
}

}  // namespace

void JsonLine::time(std::string_view name, std::chrono::system_clock::time_point at) {
  std::array<char, 40> out{};
  text(name, time_text(at, out));
}

}  // namespace perigee::router
