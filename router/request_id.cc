#include "router/request_id.h"

#include <algorithm>
#include <random>

namespace perigee::router {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::size_t kMaxRequestId = 128;

void write_hex(char* out, std::uint64_t value) {
  for (unsigned i = 0; i < 16; ++i) out[i] = kHex[value >> (60U - 4U * i) & 15U];
}

bool lower_hex(std::string_view text) { return text.find_first_not_of(kHex) == std::string_view::npos; }
bool all_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

bool id_octet(char octet) {
  return (octet >= '0' && octet <= '9') || ((octet | 0x20) >= 'a' && (octet | 0x20) <= 'z') || octet == '.' ||
         octet == '_' || octet == '-';
}

}  // namespace

bool valid_request_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxRequestId && std::all_of(text.begin(), text.end(), id_octet);
}

std::string TraceParent::text() const {
  std::string out = "00-";
  out.reserve(55);
  out += trace();
  out += '-';
  out += parent();
  out += '-';
  out += kHex[flags >> 4U];
  out += kHex[flags & 15U];
  return out;
}

std::optional<TraceParent> parse_traceparent(std::string_view text) {
  // version "-" trace-id "-" parent-id "-" flags; more may follow a dash in later versions (section 3.2.4
  // there).
  if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  const std::string_view version = text.substr(0, 2);
  const std::string_view trace = text.substr(3, 32);
  const std::string_view parent = text.substr(36, 16);
  const std::string_view flags = text.substr(53, 2);
  if (!lower_hex(version) || !lower_hex(trace) || !lower_hex(parent) || !lower_hex(flags))
    return std::nullopt;
  if (version == "ff" || all_zero(trace) || all_zero(parent)) return std::nullopt;
  if (text.size() > 55 && (version == "00" || text[55] != '-')) return std::nullopt;
  TraceParent out;
  std::copy(trace.begin(), trace.end(), out.trace_id.begin());
  std::copy(parent.begin(), parent.end(), out.parent_id.begin());
  out.flags = static_cast<std::uint8_t>(kHex.find(flags[0]) * 16 + kHex.find(flags[1]));
  return out;
}

RequestNames::RequestNames() {
  std::random_device device;
  const auto word = [&] { return std::uint64_t{device()} << 32U | device(); };
  seed_ = word();
  counter_ = word();
}

std::uint64_t RequestNames::number() {
  // SplitMix64 (Steele, Lea, Flood 2014): a counter through a bijection, so that no number comes twice in
  // 2^64.
  std::uint64_t value = seed_ + (counter_ += 0x9e3779b97f4a7c15U);
  value = (value ^ value >> 30U) * 0xbf58476d1ce4e5b9U;
  value = (value ^ value >> 27U) * 0x94d049bb133111ebU;
  return value ^ value >> 31U;
}

std::string RequestNames::request_id(std::string_view from_client) {
  if (valid_request_id(from_client)) return std::string(from_client);
  std::string out(32, '0');
  write_hex(out.data(), number());
  write_hex(out.data() + 16, number());
  return out;
}

TraceParent RequestNames::trace(std::optional<std::string_view> from_client) {
  TraceParent out;
  const auto parsed = from_client ? parse_traceparent(*from_client) : std::nullopt;
  if (parsed) {
    out = *parsed;
    out.flags &= 1U;  // version 00 knows one flag, and version 00 is what is sent
  } else {
    write_hex(out.trace_id.data(), number() | 1U);
    write_hex(out.trace_id.data() + 16, number());
  }
  write_hex(out.parent_id.data(), number() | 1U);  // an id is not all zero
  return out;
}

}  // namespace perigee::router
