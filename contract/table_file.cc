#include "contract/table_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <type_traits>

#include "contract/directory.h"

namespace perigee::table {
namespace {

constexpr std::size_t kArrays = 9;

// The head of the file; the arrays follow without gaps, in the order of struct Table.
struct FileHeader {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t size = 0;  // of the whole file, in octets
  Identity identity;
  Name pop;
  std::array<std::uint32_t, kArrays> counts{};
  std::uint32_t reserved = 0;
  Settings settings;
};
static_assert(sizeof(FileHeader) == 168);
constexpr std::size_t kChecksumOffset = offsetof(FileHeader, identity) + offsetof(Identity, checksum);

// The one list of the arrays: their order on disk, and the most records each may have (0: bounded only by the
// size of the file).
template <class TableType, class Visit>
void for_each_array(TableType& table, Visit visit) {
  visit(table.interfaces, "interfaces", kMaxInterfaces);
  visit(table.links, "links", kMaxLinks);
  visit(table.link_order, "link_order", 0U);
  visit(table.prefixes, "prefixes", kMaxPrefixes);
  visit(table.snat_addresses, "snat_addresses", kMaxSnatAddresses);
  visit(table.endpoints, "endpoints", kMaxEndpoints);
  visit(table.services, "services", kMaxServices);
  visit(table.tiers, "tiers", kMaxServices * kMaxTiersPerService);
  visit(table.candidates, "candidates", 0U);
}

template <class Vector>
using RecordOf = typename std::remove_reference_t<Vector>::value_type;

Error refusal(std::string what) { return Error{"", std::move(what)}; }

Result<FileHeader> read_header(std::span<const std::byte> octets) {
  FileHeader header;
  if (octets.size() < sizeof header) {
    return refusal("a table has at least " + std::to_string(sizeof header) + " octets, this has " +
                   std::to_string(octets.size()));
  }
  if (octets.size() > kMaxFileSize) {
    return refusal("a table has at most " + std::to_string(kMaxFileSize) + " octets, this has " +
                   std::to_string(octets.size()));
  }
  std::memcpy(&header, octets.data(), sizeof header);
  if (header.magic != kMagic) return refusal("not a Perigee table (magic)");
  if (header.version != kVersion) {
    return refusal("version " + std::to_string(header.version) + ", this program reads version " +
                   std::to_string(kVersion));
  }
  if (header.size != octets.size()) {
    return refusal("claims " + std::to_string(header.size) + " octets, has " + std::to_string(octets.size()));
  }
  if (header.reserved != 0) return refusal("reserved octets of the header are not zero");
  return header;
}

// Every count within its limit, and all of them together exactly the size of the file: nothing is allocated
// before this holds.
Result<void> check_counts(const FileHeader& header) {
  Table shape;
  std::size_t array = 0;
  std::uint64_t size = sizeof header;
  std::string fault;
  for_each_array(shape, [&](auto& records, const char* name, std::uint32_t limit) {
    const std::uint32_t count = header.counts[array++];
    if (limit != 0 && count > limit && fault.empty()) {
      fault = std::to_string(count) + " " + name + ", at most " + std::to_string(limit);
    }
    size += std::uint64_t{count} * sizeof(RecordOf<decltype(records)>);
  });
  if (!fault.empty()) return refusal(fault);
  if (size != header.size) {
    return refusal("its counts need " + std::to_string(size) + " octets, it has " +
                   std::to_string(header.size));
  }
  return {};
}

Result<std::vector<std::byte>> read_octets(const Descriptor& file) {
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return refusal(std::generic_category().message(errno));
  const auto size = std::clamp<std::int64_t>(info.st_size, 0, std::int64_t{kMaxFileSize});
  // One octet more, so that a file that grew meanwhile is seen as too long.
  std::vector<std::byte> octets(static_cast<std::size_t>(size) + 1);
  std::size_t filled = 0;
  while (filled < octets.size()) {
    const ssize_t got = ::read(file.get(), octets.data() + filled, octets.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refusal("cannot be read: " + std::generic_category().message(errno));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  octets.resize(filled);
  return octets;
}

}  // namespace

std::uint64_t checksum_of(std::span<const std::byte> octets) {
  // Constants of FNV-1a 64 (draft-eastlake-fnv, section 5). Every step is a bijection of the state, so a
  // change of one octet always changes the sum.
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const bool own_field = i >= kChecksumOffset && i < kChecksumOffset + sizeof(Identity::checksum);
    hash ^= own_field ? 0 : std::to_integer<std::uint64_t>(octets[i]);
    hash *= 0x100000001b3U;
  }
  return hash;
}

std::vector<std::byte> encode(const Table& table) {
  FileHeader header{.magic = kMagic,
                    .version = kVersion,
                    .size = 0,
                    .identity = table.identity,
                    .pop = table.pop,
                    .counts = {},
                    .reserved = 0,
                    .settings = table.settings};
  static_assert(std::has_unique_object_representations_v<FileHeader>, "no padding");
  std::vector<std::byte> octets(sizeof header);
  std::size_t array = 0;
  for_each_array(table, [&](const auto& records, const char*, std::uint32_t) {
    using Record = RecordOf<decltype(records)>;
    static_assert(std::is_trivially_copyable_v<Record> && std::has_unique_object_representations_v<Record>,
                  "a record is its octets, without padding");
    header.counts[array++] = static_cast<std::uint32_t>(records.size());
    const auto bytes = std::as_bytes(std::span(records));
    octets.insert(octets.end(), bytes.begin(), bytes.end());
  });
  header.size = static_cast<std::uint32_t>(octets.size());
  std::memcpy(octets.data(), &header, sizeof header);
  const std::uint64_t checksum = checksum_of(octets);
  std::memcpy(octets.data() + kChecksumOffset, &checksum, sizeof checksum);
  return octets;
}

Result<Table> decode(std::span<const std::byte> octets) {
  const auto header = read_header(octets);
  if (!header) return header.error();
  if (const auto counts = check_counts(*header); !counts) return counts.error();
  if (checksum_of(octets) != header->identity.checksum) {
    return refusal("the checksum does not match: the file is damaged or was written by something else");
  }
  Table table;
  table.identity = header->identity;
  table.pop = header->pop;
  table.settings = header->settings;
  std::size_t array = 0;
  std::size_t offset = sizeof(FileHeader);
  for_each_array(table, [&](auto& records, const char*, std::uint32_t) {
    records.resize(header->counts[array++]);
    const auto bytes = std::as_writable_bytes(std::span(records));
    if (!bytes.empty()) std::memcpy(bytes.data(), octets.data() + offset, bytes.size());
    offset += bytes.size();
  });
  if (const auto valid = validate(table); !valid) return valid.error();
  return table;
}

Result<Identity> write_file(const std::string& directory, const Table& table) {
  const std::string path = directory + "/" + kFileName;
  const auto at_path = [&path](const Error& error) { return Error{path, error.text()}; };
  if (const auto valid = validate(table); !valid) return at_path(valid.error());
  const std::vector<std::byte> octets = encode(table);
  if (octets.size() > kMaxFileSize) {
    return Error{path, std::to_string(octets.size()) + " octets, at most " + std::to_string(kMaxFileSize)};
  }
  const auto opened = open_directory(directory);
  if (!opened) return opened.error();
  auto file = NewFile::create(*opened, kFileName);
  if (!file) return at_path(file.error());
  if (const auto written = file->write(octets); !written) return at_path(written.error());
  if (const auto published = file->publish(); !published) return at_path(published.error());
  Identity identity = table.identity;
  std::memcpy(&identity.checksum, octets.data() + kChecksumOffset, sizeof identity.checksum);
  return identity;
}

Result<Table> read_file(const std::string& directory, std::optional<std::uint32_t> owner) {
  const std::string path = directory + "/" + kFileName;
  const auto opened = open_directory(directory, owner);
  if (!opened) return opened.error();
  const auto file = open_regular(*opened, kFileName, kMaxFileSize);
  if (!file) return Error{path, file.error().what};
  const auto octets = read_octets(*file);
  if (!octets) return Error{path, octets.error().what};
  auto table = decode(*octets);
  if (!table) return Error{path, table.error().text()};
  return table;
}

}  // namespace perigee::table
