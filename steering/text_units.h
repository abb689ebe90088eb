// The words of a policy file as values: durations, shares, numbers, addresses. Every error says what would be
// right; its `where` is empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "contract/address.h"
#include "contract/error.h"
#include "contract/units.h"

namespace perigee {

struct AddressPort {
  IpAddress address;
  std::uint16_t port = 0;
};

struct AddressLength {  // "10.1.0.1/24": an address and the prefix it is in
  IpAddress address;
  std::uint8_t length = 0;
};

Result<Nanos> parse_duration(std::string_view text);         // "250us", "1.5ms", "0ms"; the unit is required
Result<std::uint64_t> parse_octets(std::string_view text);   // "4096", "64KiB", "1.5MiB", "1GiB"
Result<double> parse_percent(std::string_view text);         // "25%" or "0.5%" as a ratio, 0..1
Result<double> parse_ratio(std::string_view text);           // "1.2", no unit
Result<std::uint64_t> parse_integer(std::string_view text);  // decimal, no sign
Result<bool> parse_flag(std::string_view text);              // "true", "false"
Result<IpAddress> parse_ipv4(std::string_view text);         // a unicast address
Result<Prefix> parse_ipv4_prefix(std::string_view text);     // without host bits
Result<AddressLength> parse_ipv4_interface(std::string_view text);
Result<AddressPort> parse_ipv4_port(std::string_view text);  // "10.2.1.1:8000", port 1..65535
Result<AddressPort> parse_listen(std::string_view text);     // the same, also loopback and 0.0.0.0
Result<AddressPort> parse_socket(std::string_view text);     // the same, also "[2001:db8::1]:443"
Result<Prefix> parse_prefix(std::string_view text);          // of either family
Result<MacAddress> parse_mac(std::string_view text);         // of one station

[[nodiscard]] std::string percent_text(double ratio);         // "25%", "0.5%"
[[nodiscard]] std::string ratio_text(double ratio);           // "1.2"
[[nodiscard]] std::string octets_text(std::uint64_t octets);  // "64KiB", "1000"

// At least letters, digits, '-', '_': what a name of anything in a policy may be. 1 to kMaxNameOctets octets.
Result<std::string> parse_name(std::string_view text);

// What clients and endpoints call a model: as above and '.', '/', ':', '@', '+'. 1 to kMaxModelOctets octets,
// none of which needs an escape in JSON, a URL's path or a log.
Result<std::string> parse_model_name(std::string_view text);

// Valid UTF-8 without NUL (RFC 3629); else the offset of the first wrong octet.
std::pair<bool, std::size_t> check_utf8(std::string_view text);

// The word nearest to `text` among `known`, when it is near enough to be a slip of the pen.
template <class Range>
std::string_view nearest(std::string_view text, const Range& known);
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::string_view nearest(std::string_view text, const Range& known) {
  std::string_view best;
  std::size_t best_distance = text.size() / 3 + 2;  // beyond it, it is another word
  for (const auto& word : known) {
    const std::size_t distance = edit_distance(text, word);
    if (distance < best_distance && distance < std::string_view(word).size()) {
      best = word;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace perigee
