// Big-endian integers in packet octets, read and written one octet at a time: no cast, no alignment demand.
// The caller has checked that the octets exist.
#pragma once

#include <cstdint>

namespace perigee {

[[nodiscard]] inline std::uint16_t load_be16(const std::uint8_t* at) {
  return static_cast<std::uint16_t>(at[0] << 8U | at[1]);
}

[[nodiscard]] inline std::uint32_t load_be32(const std::uint8_t* at) {
  return static_cast<std::uint32_t>(load_be16(at)) << 16U | load_be16(at + 2);
}

[[nodiscard]] inline std::uint64_t load_be64(const std::uint8_t* at) {
  return static_cast<std::uint64_t>(load_be32(at)) << 32U | load_be32(at + 4);
}

inline void store_be16(std::uint8_t* at, std::uint16_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8U);
  at[1] = static_cast<std::uint8_t>(value);
}

inline void store_be32(std::uint8_t* at, std::uint32_t value) {
  store_be16(at, static_cast<std::uint16_t>(value >> 16U));
  store_be16(at + 2, static_cast<std::uint16_t>(value));
}

inline void store_be64(std::uint8_t* at, std::uint64_t value) {
  store_be32(at, static_cast<std::uint32_t>(value >> 32U));
  store_be32(at + 4, static_cast<std::uint32_t>(value));
}

}  // namespace perigee
