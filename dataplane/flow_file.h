// The memory of the flows: a file in the state directory, mapped shared, so that what a killed process wrote
// is there for the next one; or plain memory when there is no directory. Private to the data plane: no other
// program reads it, and another layout, boot, capacity or worker's file is thrown away.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "contract/address.h"
#include "contract/error.h"
#include "dataplane/flow_table.h"

namespace perigee {

// SNAT addresses that flows name by their place here. More than a table has, so that a policy can replace
// its addresses while flows on the old ones go on.
inline constexpr std::uint32_t kMaxKnownSnatAddresses = 32;

using BootId = std::array<char, 36>;  // as in /proc/sys/kernel/random/boot_id
BootId read_boot_id();

struct alignas(4096) FlowFileHeader {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t slots = 0;
  std::uint32_t capacity = 0;
  std::uint32_t worker = 0;
  std::uint32_t worker_count = 0;
  BootId boot_id{};
  HashSeed seed;
  std::array<IpAddress, kMaxKnownSnatAddresses> snat_addresses{};  // none: free; changed only when no flow
                                                                   // refers to it
  std::atomic<std::uint32_t> complete{0};  // 1, stored last: everything above is there
};
static_assert(sizeof(FlowFileHeader) == 4096, "entries start on a page");

class FlowFile {
 public:
  struct Options {
    std::string directory;  // empty: plain memory
    std::uint32_t capacity = 0;
    std::uint32_t worker = 0, worker_count = 1;
    BootId boot_id = read_boot_id();
  };
  static Result<FlowFile> open(const Options& options);
  FlowFile(FlowFile&& other) noexcept;
  FlowFile& operator=(FlowFile&&) = delete;
  ~FlowFile();  // the file stays

  [[nodiscard]] FlowFileHeader& header() { return *header_; }
  [[nodiscard]] std::span<FlowEntry> entries();
  // There was a file and it was thrown away (see notices).
  [[nodiscard]] bool discarded() const { return discarded_; }
  // For people: not on tmpfs, a file thrown away and why.
  [[nodiscard]] const std::vector<std::string>& notices() const { return notices_; }

 private:
  FlowFile() = default;
  Result<void> map_file(const Options& options, std::uint64_t size);

  FlowFileHeader* header_ = nullptr;
  std::uint64_t size_ = 0;
  bool discarded_ = false;
  std::vector<std::string> notices_;
};

}  // namespace perigee
