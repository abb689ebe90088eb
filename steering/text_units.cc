#include "steering/text_units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "steering/policy.h"
#include "steering/yaml_document.h"

namespace perigee {
namespace {

using yaml::quoted;

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr std::array<Unit, 6> kUnits = {{{"h", 3'600'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"s", 1'000'000'000},
                                         {"ms", 1'000'000},
                                         {"us", 1'000},
                                         {"ns", 1}}};
constexpr double kMaxSeconds = 1e9;  // 31 years: far from the end of 64 bits of nanoseconds

struct Size {
  std::string_view name;
  std::uint64_t octets;
};
constexpr std::array<Size, 4> kSizes = {
    {{"GiB", 1U << 30U}, {"MiB", 1U << 20U}, {"KiB", 1U << 10U}, {"", 1}}};
constexpr double kMaxOctets = 1e15;  // exact as a double

// A plain decimal number ("12", "0.5") at the start of `text`; what follows is left in it.
std::optional<double> take_number(std::string_view& text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

Error wrong(std::string_view text, const std::string& why) { return {"", quoted(text) + " " + why}; }

}  // namespace

Result<Nanos> parse_duration(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = take_number(rest);
  if (!number) return wrong(text, "is not a duration; say a number with its unit, for example \"100ms\"");
  if (rest.empty())
    return wrong(
        text, "has no unit; say " + quoted(std::string(text) + "ms") + " or another of ns, us, ms, s, m, h");
  for (const Unit& unit : kUnits) {
    if (unit.name != rest) continue;
    const double ns = *number * static_cast<double>(unit.ns);
    if (ns > kMaxSeconds * 1e9) return wrong(text, "is too long; the limit is 31 years");
    return Nanos(std::llround(ns));
  }
  return wrong(text, "has an unknown unit " + quoted(rest) + "; use one of ns, us, ms, s, m, h");
}

std::string text_of(Nanos duration) {
  const std::int64_t ns = duration.count();
  if (ns == 0) return "0ms";
  if (ns < 0) return "-" + text_of(-duration);
  for (const Unit& unit : kUnits)
    if (ns % unit.ns == 0 && (unit.ns > 1 || ns < 1000))
      return std::to_string(ns / unit.ns) + std::string(unit.name);
  // No unit divides it: the largest below it, three digits after the point.
  for (const Unit& unit : kUnits) {
    if (ns < unit.ns || unit.name == "h" || unit.name == "m") continue;
    std::array<char, 32> buffer{};
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                      static_cast<double>(ns) / static_cast<double>(unit.ns), std::chars_format::fixed, 3);
    std::string number(buffer.data(), end.ptr);
    number.erase(number.find_last_not_of('0') + 1);
    if (number.back() == '.') number.pop_back();
    return number + std::string(unit.name);
  }
  return std::to_string(ns) + "ns";
}

Result<std::uint64_t> parse_octets(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = take_number(rest);
  if (!number) return wrong(text, "is not a size; say for example \"64KiB\" or a number of octets");
  for (const Size& size : kSizes) {
    if (size.name != rest) continue;
    const double octets = *number * static_cast<double>(size.octets);
    if (octets > kMaxOctets || octets != std::floor(octets))
      return wrong(text, "is no whole number of octets");
    return static_cast<std::uint64_t>(octets);
  }
  return wrong(text,
               "has an unknown unit " + quoted(rest) + "; use one of KiB, MiB, GiB, or none for octets");
}

std::string octets_text(std::uint64_t octets) {
  for (const Size& size : kSizes)
    if (octets != 0 && octets % size.octets == 0)
      return std::to_string(octets / size.octets) + std::string(size.name);
  return std::to_string(octets);
}

Result<double> parse_percent(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = take_number(rest);
  if (!number) return wrong(text, "is not a share; say for example \"10%\"");
  if (rest.empty()) return wrong(text, "has no unit; say " + quoted(std::string(text) + "%"));
  if (rest != "%") return wrong(text, "has an unknown unit " + quoted(rest) + "; a share is said in \"%\"");
  if (*number > 100) return wrong(text, "is out of range; from 0% to 100%");
  return *number / 100;
}

std::string percent_text(double ratio) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::round(ratio * 1e6) / 1e4,
                                 std::chars_format::general, 6);
  return std::string(buffer.data(), end.ptr) + "%";
}

Result<double> parse_ratio(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = take_number(rest);
  if (!number || !rest.empty()) return wrong(text, "is not a ratio; say for example \"1.2\"");
  return *number;
}

std::string ratio_text(double ratio) {
  std::array<char, 32> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), ratio, std::chars_format::general, 6);
  return std::string(buffer.data(), end.ptr);
}

Result<std::uint64_t> parse_integer(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return wrong(text, "is not a whole number");
  return value;
}

Result<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return wrong(text, "is neither \"true\" nor \"false\"");
}

Result<IpAddress> parse_ipv4(std::string_view text) {
  const std::optional<IpAddress> address = IpAddress::parse(text);
  if (!address) return wrong(text, "is not an address; say for example \"172.31.1.1\"");
  if (!address->is_v4()) return wrong(text, "is IPv6; this release forwards IPv4 only");
  if (!address->is_unicast()) return wrong(text, "is not the address of one host");
  return *address;
}

Result<Prefix> parse_ipv4_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return wrong(text, "has no prefix length; say for example " + quoted(std::string(text) + "/16"));
  if (const std::optional<Prefix> prefix = Prefix::parse(text)) {
    if (!prefix->address.is_v4()) return wrong(text, "is IPv6; this release forwards IPv4 only");
    return *prefix;
  }
  const std::optional<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  const Result<std::uint64_t> length = parse_integer(text.substr(slash + 1));
  if (!address || !length || !address->is_v4() || *length > 32)
    return wrong(text, "is not a prefix; say for example \"10.1.0.0/16\"");
  const std::uint32_t mask = *length == 0 ? 0 : ~std::uint32_t{0} << (32 - *length);
  const IpAddress base = IpAddress::v4(address->v4_value() & mask);
  return wrong(
      text, "has host bits set; did you mean " + quoted(base.text() + "/" + std::to_string(*length)) + "?");
}

Result<AddressLength> parse_ipv4_interface(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return wrong(text, "has no prefix length; say for example " + quoted(std::string(text) + "/24"));
  const Result<IpAddress> address = parse_ipv4(text.substr(0, slash));
  if (!address) return address.error();
  const Result<std::uint64_t> length = parse_integer(text.substr(slash + 1));
  if (!length || *length < 1 || *length > 32) return wrong(text, "has a wrong prefix length; from 1 to 32");
  if (*length < 31) {  // RFC 3021: both addresses of a /31 are hosts
    const std::uint32_t host = address->v4_value() & (~std::uint32_t{0} >> *length);
    if (host == 0 || host == (~std::uint32_t{0} >> *length))
      return wrong(text, "is the network's or its broadcast address; say one of a host in it");
  }
  return AddressLength{*address, static_cast<std::uint8_t>(*length)};
}

namespace {

// What `address` says about the part before the colon decides.
Result<AddressPort> with_port(std::string_view text, Result<IpAddress> (*address_of)(std::string_view)) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || std::count(text.begin(), text.end(), ':') > 1) {
    if (!IpAddress::parse(text))
      return wrong(text, "is no address and port; say for example \"10.2.1.1:8000\"");
    return wrong(text, "has no port; say for example " + quoted(std::string(text) + ":8000"));
  }
  const Result<IpAddress> address = address_of(text.substr(0, colon));
  if (!address) return address.error();
  const Result<std::uint64_t> port = parse_integer(text.substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) return wrong(text, "has a wrong port; from 1 to 65535");
  return AddressPort{*address, static_cast<std::uint16_t>(*port)};
}

// Also an address that only this host has.
Result<IpAddress> parse_own_ipv4(std::string_view text) {
  const std::optional<IpAddress> address = IpAddress::parse(text);
  if (address && address->is_v4() && (address->v4_value() == 0 || address->v4_value() >> 24U == 127))
    return *address;
  return parse_ipv4(text);
}

}  // namespace

Result<AddressPort> parse_ipv4_port(std::string_view text) { return with_port(text, parse_ipv4); }

Result<AddressPort> parse_listen(std::string_view text) { return with_port(text, parse_own_ipv4); }

Result<AddressPort> parse_socket(std::string_view text) {
  const std::size_t end = text.rfind("]:");
  if (text.empty() || text.front() != '[') return parse_listen(text);
  const std::optional<IpAddress> address =
      end == std::string_view::npos ? std::nullopt : IpAddress::parse(text.substr(1, end - 1));
  if (!address || address->is_v4() || address->none())
    return wrong(text, "is not one address and a port; say for example \"[2001:db8::1]:443\"");
  const Result<std::uint64_t> port = parse_integer(text.substr(end + 2));
  if (!port || *port < 1 || *port > 65535) return wrong(text, "has a wrong port; from 1 to 65535");
  return AddressPort{*address, static_cast<std::uint16_t>(*port)};
}

Result<Prefix> parse_prefix(std::string_view text) {
  if (text.find(':') == std::string_view::npos) return parse_ipv4_prefix(text);
  if (const std::optional<Prefix> prefix = Prefix::parse(text)) return *prefix;
  return wrong(text, "is not a prefix; say for example \"2001:db8::/32\", without host bits");
}

Result<MacAddress> parse_mac(std::string_view text) {
  const std::optional<MacAddress> mac = MacAddress::parse(text);
  if (!mac) return wrong(text, "is not a MAC address; say for example \"02:00:00:00:00:01\"");
  // The group bit, IEEE 802, section 8.2.
  if (mac->none() || (mac->octets[0] & 1U) != 0) return wrong(text, "is not the address of one station");
  return *mac;
}

namespace {

constexpr std::string_view kNameOctets = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

}  // namespace

Result<std::string> parse_name(std::string_view text) {
  if (text.empty()) return Error{"", "a name is empty; use letters, digits, '-' and '_'"};
  if (text.size() > kMaxNameOctets)
    return wrong(text, "is too long for a name; at most " + std::to_string(kMaxNameOctets) + " characters");
  if (text.find_first_not_of(kNameOctets) != std::string_view::npos)
    return wrong(text, "is not a name; use letters, digits, '-' and '_'");
  return {boost::system::in_place_value, text};
}

Result<std::string> parse_model_name(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return kNameOctets.find(c) != std::string_view::npos ||
           std::string_view("./:@+").find(c) != std::string_view::npos;
  });
  if (text.empty() || !plain)
    return wrong(text, "is not a model's name; use letters, digits, '-', '_', '.', '/', ':', '@' and '+'");
  if (text.size() > kMaxModelOctets)
    return wrong(
        text, "is too long for a model's name; at most " + std::to_string(kMaxModelOctets) + " characters");
  return {boost::system::in_place_value, text};
}

std::pair<bool, std::size_t> check_utf8(std::string_view text) {
  // The table of well-formed sequences, RFC 3629, section 4: the second octet's range depends on the first.
  for (std::size_t i = 0; i < text.size();) {
    const auto octet = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : static_cast<unsigned char>(0);
    };
    const unsigned char first = octet(i);
    if (first == 0) return {false, i};
    if (first < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (length == 0 || octet(i + 1) < low || octet(i + 1) > high) return {false, i};
    for (std::size_t k = 2; k < length; ++k)
      if ((octet(i + k) & 0xc0U) != 0x80U) return {false, i};
    i += length;
  }
  return {true, text.size()};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Levenshtein with two neighbours swapped as one slip; names are short, so one matrix is fine.
  a = a.substr(0, 2 * kMaxNameOctets);
  b = b.substr(0, 2 * kMaxNameOctets);
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace perigee
