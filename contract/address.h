// Addresses as octets in network order: there is no host order to get wrong. IPv4 and IPv6 share one type
// (IPv4 in the mapped form of RFC 4291 section 2.5.5.2).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee {

struct IpAddress {
  std::array<std::uint8_t, 16> octets{};  // all zero: no address

  static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
  // `host_order`: 10.0.0.1 is 0x0a000001.
  static IpAddress v4(std::uint32_t host_order);
  // "192.0.2.1" or "2001:db8::1"; nothing else (no zone, no port, no leading zeros in IPv4).
  static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] bool none() const { return *this == IpAddress{}; }
  [[nodiscard]] bool is_v4() const;
  // Only where is_v4(); host order, for arithmetic on prefixes.
  [[nodiscard]] std::uint32_t v4_value() const;
  [[nodiscard]] std::string text() const;
  // Multicast, broadcast, loopback, unspecified: never the address of one host on a link.
  [[nodiscard]] bool is_unicast() const;

  friend auto operator<=>(const IpAddress&,  // NOLINT(modernize-use-nullptr): clang-tidy 14 misreads <=>
                          const IpAddress&) = default;  // NOLINT(modernize-use-nullptr)
};

struct Prefix {
  IpAddress address;        // host bits are zero
  std::uint8_t length = 0;  // of the family of `address`: 0..32 or 0..128

  // "10.1.0.0/16"; a prefix with host bits set is refused (nullopt).
  static std::optional<Prefix> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

struct MacAddress {
  std::array<std::uint8_t, 6> octets{};  // all zero: none

  static std::optional<MacAddress> parse(std::string_view text);
  [[nodiscard]] bool none() const { return *this == MacAddress{}; }
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

}  // namespace perigee
