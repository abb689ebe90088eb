#include "contract/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace perigee {
namespace {

// RFC 4291 section 2.5.5.2: eighty zero bits, sixteen one bits, then the IPv4 address.
constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

// inet_pton wants a terminated string; anything longer than its longest form is no address.
std::optional<std::array<char, INET6_ADDRSTRLEN>> terminated(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), copy.begin());
  return copy;
}

bool bit_at(const IpAddress& address, unsigned index) {
  return ((address.octets[index / 8] >> (7 - index % 8)) & 1U) != 0;
}

unsigned first_bit(const IpAddress& address) { return address.is_v4() ? kMappedBits : 0; }

}  // namespace

IpAddress IpAddress::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  IpAddress address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.octets.begin());
  address.octets[12] = a;
  address.octets[13] = b;
  address.octets[14] = c;
  address.octets[15] = d;
  return address;
}

IpAddress IpAddress::v4(std::uint32_t host_order) {
  const auto octet = [host_order](unsigned shift) { return static_cast<std::uint8_t>(host_order >> shift); };
  return v4(octet(24), octet(16), octet(8), octet(0));
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const auto copy = terminated(text);
  if (!copy) return std::nullopt;
  if (text.find(':') == std::string_view::npos) {
    std::array<std::uint8_t, 4> octets{};
    if (inet_pton(AF_INET, copy->data(), octets.data()) != 1) return std::nullopt;
    return v4(octets[0], octets[1], octets[2], octets[3]);
  }
  IpAddress address;
  if (inet_pton(AF_INET6, copy->data(), address.octets.data()) != 1) return std::nullopt;
  // "::ffff:192.0.2.1" would be a second spelling of an IPv4 address.
  if (address.is_v4()) return std::nullopt;
  return address;
}

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), octets.begin());
}

std::uint32_t IpAddress::v4_value() const {
  return std::uint32_t{octets[12]} << 24U | std::uint32_t{octets[13]} << 16U |
         std::uint32_t{octets[14]} << 8U | std::uint32_t{octets[15]};
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> out{};
  const bool v4_form = is_v4();
  inet_ntop(v4_form ? AF_INET : AF_INET6, octets.data() + (v4_form ? kMappedPrefix.size() : 0), out.data(),
            out.size());
  return out.data();
}

bool IpAddress::is_unicast() const {
  if (is_v4()) {
    // RFC 6890 section 2.2.2: 0/8 is "this network", 127/8 loopback; 224/4 is multicast, 240/4 reserved with
    // the limited broadcast in it.
    return octets[12] != 0 && octets[12] != 127 && octets[12] < 224;
  }
  IpAddress loopback;
  loopback.octets[15] = 1;
  return !none() && *this != loopback && octets[0] != 0xff;
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = IpAddress::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!address || digits.empty() || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  const unsigned first = first_bit(*address);
  if (error != std::errc{} || end != digits.data() + digits.size() || length > 128 - first)
    return std::nullopt;
  for (unsigned bit = first + length; bit < 128; ++bit) {
    if (bit_at(*address, bit)) return std::nullopt;
  }
  return Prefix{*address, static_cast<std::uint8_t>(length)};
}

bool Prefix::contains(const IpAddress& other) const {
  if (other.is_v4() != address.is_v4()) return false;
  const unsigned bits = std::min(first_bit(address) + length, 128U);
  if (std::memcmp(address.octets.data(), other.octets.data(), bits / 8) != 0) return false;
  for (unsigned bit = bits / 8 * 8; bit < bits; ++bit) {
    if (bit_at(address, bit) != bit_at(other, bit)) return false;
  }
  return true;
}

std::string Prefix::text() const { return address.text() + "/" + std::to_string(length); }

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  MacAddress mac;
  if (text.size() != mac.octets.size() * 3 - 1) return std::nullopt;
  for (std::size_t i = 0; i < mac.octets.size(); ++i) {
    const char* digits = text.data() + i * 3;
    const auto [end, error] = std::from_chars(digits, digits + 2, mac.octets[i], 16);
    if (error != std::errc{} || end != digits + 2) return std::nullopt;
    if (i + 1 < mac.octets.size() && digits[2] != ':') return std::nullopt;
  }
  return mac;
}

std::string MacAddress::text() const {
  std::array<char, 18> out{};
  std::snprintf(out.data(), out.size(), "%02x:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2],
                octets[3], octets[4], octets[5]);
  return out.data();
}

}  // namespace perigee
