#include "contract/table.h"

#include <algorithm>

namespace perigee::table {

Name Name::of(std::string_view name) {
  Name result;
  std::size_t length = std::min(name.size(), result.text.size() - 1);
  // Never cut inside a UTF-8 sequence: its continuation octets are 10xxxxxx (RFC 3629 section 3).
  if (length < name.size()) {
    while (length > 0 && (static_cast<unsigned char>(name[length]) & 0xc0U) == 0x80U) --length;
  }
  std::copy_n(name.begin(), length, result.text.begin());
  return result;
}

std::string_view Name::view() const {
  const auto end = std::find(text.begin(), text.end(), '\0');
  return {text.data(), static_cast<std::size_t>(end - text.begin())};
}

}  // namespace perigee::table
