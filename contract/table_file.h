// The table as octets: encode, decode with every claim checked, and the file that carries it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "contract/error.h"
#include "contract/table.h"

namespace perigee::table {

// The name of the file inside the table directory.
inline constexpr const char* kFileName = "table.bin";

// FNV-1a 64 of the whole file, its checksum field taken as zero; `octets` has at least a header.
std::uint64_t checksum_of(std::span<const std::byte> octets);

// Fills in the checksum; `table` must pass validate().
std::vector<std::byte> encode(const Table& table);

// Refuses, with the reason, anything that is not exactly what encode() writes: magic, version, size,
// checksum, reserved octets, counts and then validate().
Result<Table> decode(std::span<const std::byte> octets);

// Every index within its array, every limit kept, every enumeration known, reserved octets zero, ids unique
// and not 0, no two services that claim one packet. The first fault found is the error; its `where` names the
// record ("links[2] syd-per").
Result<void> validate(const Table& table);

// Writes `table` into `directory` (which must exist and pass the checks of directory.h) as a new file,
// flushes it and renames it into place. Nothing is changed on error.
Result<Identity> write_file(const std::string& directory, const Table& table);

// Copies the file, then decodes the copy. `where` of the error is the path. `owner`: uid the directory may
// have besides ours and root.
Result<Table> read_file(const std::string& directory, std::optional<std::uint32_t> owner = std::nullopt);

}  // namespace perigee::table
