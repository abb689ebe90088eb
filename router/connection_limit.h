// How many connections a listener holds, in all and from one source, over all threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "contract/address.h"

namespace perigee::router {

class ConnectionLimit;

// A place among the connections, given back when it goes.
class ConnectionPermit {
 public:
  ConnectionPermit() = default;
  ConnectionPermit(ConnectionPermit&& other) noexcept;
  ConnectionPermit& operator=(ConnectionPermit&& other) noexcept;
  ~ConnectionPermit();

  [[nodiscard]] explicit operator bool() const { return limit_ != nullptr; }

 private:
  friend class ConnectionLimit;
  std::shared_ptr<ConnectionLimit> limit_;
  std::optional<IpAddress> source_;  // absent: counted in all only
};

// Used when a connection opens and closes, not in between.
class ConnectionLimit : public std::enable_shared_from_this<ConnectionLimit> {
 public:
  ConnectionLimit(std::size_t total, std::size_t per_source) : total_(total), per_source_(per_source) {}

  // An empty permit: `total` are open.
  [[nodiscard]] ConnectionPermit take();
  // Counts the connection for its source (IPv6: its /64, as one host has all of it). False: that one has too
  // many.
  [[nodiscard]] bool assign(ConnectionPermit& permit, const IpAddress& source);
  [[nodiscard]] std::size_t open() const { return open_.load(std::memory_order_relaxed); }
  // From now on; those open stay open.
  void change(std::size_t total, std::size_t per_source);

 private:
  friend class ConnectionPermit;
  void give_back(const std::optional<IpAddress>& source);

  std::atomic<std::size_t> total_;
  std::atomic<std::size_t> per_source_;
  std::atomic<std::size_t> open_ = 0;
  struct Hash {
    std::size_t operator()(const IpAddress& address) const noexcept;
  };
  std::mutex mutex_;
  std::unordered_map<IpAddress, std::size_t, Hash> sources_;  // at most one entry for each open connection
};

}  // namespace perigee::router
