// Bootstrap: what an operator gives the data plane before any table exists. Devices, memory, directories and
// capacities come from the command line or from a small file with the same keys, one `key = value` a line.
// Pure: reading the file is the caller's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "contract/error.h"

namespace perigee {

enum class PortRole : std::uint8_t { link, edge, host };
[[nodiscard]] const char* name_of(PortRole role);

struct PortSetting {
  std::string name;  // what the policy calls it: at most 31 octets of [A-Za-z0-9._-]
  PortRole role = PortRole::link;
  std::string device;     // DPDK's name: "net_af_packet0", or a PCI address "0000:01:00.0"
  std::string arguments;  // what follows the first comma of DEVICE-ARGS, may be empty

  [[nodiscard]] bool is_pci() const;
  // NAME,ARGUMENTS as EAL wants it.
  [[nodiscard]] std::string device_arguments() const;
  friend bool operator==(const PortSetting&, const PortSetting&) = default;
};

struct Bootstrap {
  std::vector<PortSetting> ports;      // 1 to telemetry::kMaxPorts
  std::optional<std::uint32_t> lcore;  // the CPU the worker is pinned to; absent: any of those allowed
  std::uint32_t memory_mb = 128;       // packet buffers, fixed at start
  bool no_huge = false;                // do not even try hugepages
  std::uint32_t flows = 262144;        // capacity of the flow table, 64 octets each
  bool busy = false;                   // never sleep
  std::string table_dir = "/run/perigee/table";
  std::string telemetry_dir = "/run/perigee/telemetry";
  std::string state_dir = "/run/perigee/state";
  std::optional<std::uint32_t> table_owner;  // uid of the gateway, when it is another user

  friend bool operator==(const Bootstrap&, const Bootstrap&) = default;
};

inline constexpr std::uint32_t kMinMemoryMb = 64;  // one pool of 8191 packet buffers and the rings
inline constexpr std::uint32_t kMaxMemoryMb = 65536;
inline constexpr std::uint32_t kMinFlows = 1024;
inline constexpr std::uint32_t kMaxFlows = 16U << 20U;  // 1 GiB of flow state
inline constexpr std::uint32_t kMaxLcore = 127;         // EAL's RTE_MAX_LCORE - 1
inline constexpr std::size_t kMaxConfigSize = 65536;    // octets of the file

enum class Purpose : std::uint8_t { run, help, version };

struct Invocation {
  Purpose purpose = Purpose::run;
  Bootstrap bootstrap;        // complete only when `errors` is empty
  std::vector<Error> errors;  // all of them, in the order of the input; `where` is "--flag" or "file:line"
};

using ReadConfig = std::function<Result<std::string>(const std::string& path)>;

// `arguments` without the program's name. A scalar on the command line overrules the file's; ports of both
// add up. The same scalar twice in one place is an error.
Invocation parse_invocation(std::span<const std::string> arguments, const ReadConfig& read_config);

// The text of --help.
[[nodiscard]] std::string usage();

}  // namespace perigee
