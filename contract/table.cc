#include "contract/table.h"

#include <algorithm>

namespace perigee::table {

std::string_view cut_text(std::string_view text, std::size_t octets) {
  if (text.size() <= octets) return text;
  // Continuation octets of a character are 10xxxxxx (RFC 3629 section 3).
  while (octets > 0 && (static_cast<unsigned char>(text[octets]) & 0xc0U) == 0x80U) --octets;
  return text.substr(0, octets);
}

Name Name::of(std::string_view name) {
  Name result;
  const std::string_view kept = cut_text(name, result.text.size() - 1);
  std::copy(kept.begin(), kept.end(), result.text.begin());
  return result;
}

std::string_view Name::view() const {
  const auto end = std::find(text.begin(), text.end(), '\0');
  return {text.data(), static_cast<std::size_t>(end - text.begin())};
}

}  // namespace perigee::table
