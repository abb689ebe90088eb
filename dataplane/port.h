// One ethdev with one receive and one transmit queue. Used by one worker; counters are plain and the worker
// publishes them.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "contract/address.h"
#include "contract/error.h"
#include "contract/units.h"
#include "dataplane/bootstrap.h"

namespace perigee {

inline constexpr std::uint16_t kBurst = 32;  // packets per look at a queue: fits the first-level cache

struct MempoolDeleter {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
using Mempool = std::unique_ptr<rte_mempool, MempoolDeleter>;

// A pool of `count` buffers of 2048 octets and the usual headroom.
Result<Mempool> make_mempool(const std::string& name, std::uint32_t count);

struct PortCounters {
  std::uint64_t rx_packets = 0, rx_octets = 0, tx_packets = 0, tx_octets = 0, tx_failed = 0;
};

class Port {
 public:
  // Configures and starts the ethdev called setting.device, which EAL has probed.
  static Result<Port> open(const PortSetting& setting, rte_mempool& pool);
  Port(Port&& other) noexcept;
  Port& operator=(Port&&) = delete;
  ~Port();  // stops and closes the device

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] PortRole role() const { return role_; }
  [[nodiscard]] const MacAddress& mac() const { return mac_; }
  [[nodiscard]] std::uint16_t mtu() const { return mtu_; }  // octets of IP the device carries
  [[nodiscard]] bool is_up() const { return up_; }
  [[nodiscard]] const PortCounters& counters() const { return counters_; }

  // At most kBurst packets; the caller owns them.
  std::uint16_t receive(std::span<rte_mbuf*, kBurst> out);
  // Sends all, or frees and counts what the device does not take after a few tries; a port that is down takes
  // nothing. Returns how many were sent.
  std::uint16_t transmit(std::span<rte_mbuf*> packets);

  // Something poll() can wait on for packets of this port, or -1: the worker then sleeps in small steps.
  [[nodiscard]] int descriptor() const { return descriptor_; }
  // Asks the device or the kernel whether the link is up; true when that changed.
  bool refresh_state();
  // After poll() reported an error: reads it away if the interface is up again, so that the next poll()
  // waits.
  void clear_error() const;

 private:
  Port(std::string name, PortRole role, std::uint16_t id) : name_(std::move(name)), role_(role), id_(id) {}
  Result<void> configure(rte_mempool& pool);
  [[nodiscard]] bool ask_state() const;
  [[nodiscard]] std::uint16_t ask_mtu() const;

  std::string name_;
  PortRole role_;
  std::uint16_t id_;
  std::string interface_;  // the kernel's name of it, or empty
  MacAddress mac_;
  std::uint16_t mtu_ = 1500;
  bool up_ = false;
  bool open_ = true;
  int descriptor_ = -1;
  PortCounters counters_;
};

}  // namespace perigee
