// decode() takes any octets: it refuses with a reason, or accepts exactly what encode() would write.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "contract/table_file.h"

namespace {

void decode_once(std::span<const std::byte> octets) {
  const auto table = perigee::table::decode(octets);
  if (!table) {
    if (table.error().what.empty()) std::abort();
    return;
  }
  const auto again = perigee::table::encode(*table);
  if (again.size() != octets.size() || std::memcmp(again.data(), octets.data(), again.size()) != 0)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> octets(size);
  if (size != 0) std::memcpy(octets.data(), data, size);
  decode_once(octets);
  // Once more with size and checksum made good, so that mutations get past them.
  constexpr std::size_t kHeader = 168;
  constexpr std::size_t kSizeOffset = 12;
  constexpr std::size_t kChecksumOffset = 32;
  if (size < kHeader) return 0;
  const auto own_size = static_cast<std::uint32_t>(size);
  std::memcpy(octets.data() + kSizeOffset, &own_size, sizeof own_size);
  const std::uint64_t checksum = perigee::table::checksum_of(octets);
  std::memcpy(octets.data() + kChecksumOffset, &checksum, sizeof checksum);
  decode_once(octets);
  return 0;
}
