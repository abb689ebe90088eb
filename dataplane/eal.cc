#include "dataplane/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <utility>

namespace perigee {
namespace {

struct DriverDefault {
  const char* driver;
  const char* key;
  const char* value;
};
constexpr std::array kDriverDefaults = {
    // Frames for an IP packet of 1500 octets; 10 ms of packets at 50000/s. A ring is gone through in turn:
    // with a larger one every frame comes from memory instead of the caches.
    DriverDefault{"net_af_packet", "framesz", "2048"}, DriverDefault{"net_af_packet", "blocksz", "65536"},
    DriverDefault{"net_af_packet", "framecnt", "512"},
    // Otherwise every look at an empty ring is a system call.
    DriverDefault{"net_af_xdp", "busy_budget", "0"}};

bool is_given(const std::string& arguments, const std::string& key) {
  return arguments.starts_with(key + "=") || arguments.find("," + key + "=") != std::string::npos;
}

std::string with_defaults(const PortSetting& port) {
  std::string text = port.device_arguments();
  for (const auto& [driver, key, value] : kDriverDefaults) {
    if (port.device.starts_with(driver) && !is_given(port.arguments, key)) {
      text += std::string(",") + key + "=" + value;
    }
  }
  return text;
}

// The CPUs this process may use, as EAL's "(0,2,3)".
std::string allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return "(0)";
  std::string text;
  for (unsigned cpu = 0; cpu <= kMaxLcore; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) text += (text.empty() ? "(" : ",") + std::to_string(cpu);
  }
  return text + ")";
}

// Free hugepages of all sizes, in MB.
std::uint64_t free_hugepages_mb() {
  std::uint64_t total_kb = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", ignored)) {
    const std::string name = entry.path().filename();  // hugepages-2048kB
    const auto dash = name.find('-');
    if (dash == std::string::npos) continue;
    std::uint64_t free = 0;
    std::ifstream(entry.path() / "free_hugepages") >> free;
    total_kb += free * std::strtoull(name.c_str() + dash + 1, nullptr, 10);
  }
  return total_kb / 1024;
}

}  // namespace

std::vector<std::string> eal_arguments(const Bootstrap& bootstrap, bool hugepages) {
  std::vector<std::string> arguments = {"perigee-dataplane",
                                        "--no-telemetry",
                                        "--iova-mode=va",
                                        "--log-level=*:error",
                                        "-m",
                                        std::to_string(bootstrap.memory_mb)};
  // Lcore 0 on the CPU asked for, or floating over all those allowed.
  arguments.push_back("--lcores=0@" + (bootstrap.lcore ? std::to_string(*bootstrap.lcore) : allowed_cpus()));
  bool pci = false;
  bool shared_memory = false;
  for (const PortSetting& port : bootstrap.ports) {
    pci = pci || port.is_pci();
    shared_memory = shared_memory || port.device.starts_with("net_memif");
    arguments.push_back(port.is_pci() ? "-a" : "--vdev");
    arguments.push_back(with_defaults(port));
  }
  // Without this EAL tries every NIC of the machine, also the one the kernel lives on.
  if (!pci) arguments.emplace_back("--no-pci");
  // memif finds its peer by multi-process messages, which want a runtime directory of their own.
  if (shared_memory) {
    arguments.push_back("--file-prefix=perigee-" + std::to_string(getpid()));
    if (hugepages) arguments.emplace_back("--huge-unlink");
  } else if (hugepages) {
    arguments.emplace_back("--in-memory");
  } else {
    arguments.emplace_back("--no-shconf");
  }
  if (!hugepages) arguments.emplace_back("--no-huge");
  return arguments;
}

Result<Eal> Eal::start(const Bootstrap& bootstrap) {
  const bool hugepages = !bootstrap.no_huge && free_hugepages_mb() >= bootstrap.memory_mb;
  std::vector<std::string> arguments = eal_arguments(bootstrap, hugepages);
  std::vector<char*> pointers;  // EAL reorders them, hence a copy it may keep
  pointers.reserve(arguments.size());
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0) {
    std::string line;
    for (const std::string& argument : arguments) line += " " + argument;
    return Error{"EAL",
                 std::string("does not start: ") + rte_strerror(rte_errno) + "; its arguments were" + line};
  }
  return Eal(hugepages);
}

Eal::Eal(Eal&& other) noexcept : active_(std::exchange(other.active_, false)), hugepages_(other.hugepages_) {}

Eal::~Eal() {
  if (active_) rte_eal_cleanup();
}

}  // namespace perigee
