#include "dataplane/port.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "contract/directory.h"

namespace perigee {
namespace {

constexpr std::uint16_t kDescriptors = 1024;  // of a NIC's ring: 1024 small packets are 70 us at 10 Gbit/s
constexpr std::uint32_t kPoolCache = 256;     // buffers a thread keeps to itself
constexpr int kTransmitTries = 4;

Error device_error(const std::string& name, const std::string& what, int code) {
  return Error{"port " + name, what + ": " + rte_strerror(-code)};
}

// Our own open sockets of one domain.
std::vector<int> sockets_of(int domain) {
  std::vector<int> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    int actual = 0;
    socklen_t size = sizeof actual;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &actual, &size) == 0 && actual == domain) found.push_back(fd);
  }
  return found;
}

// The packet socket bound to the interface; a driver keeps it to itself, so we look through our own.
int packet_socket_on(unsigned interface_index) {
  for (int fd : sockets_of(AF_PACKET)) {
    sockaddr_ll address{};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
        static_cast<unsigned>(address.sll_ifindex) == interface_index) {
      return fd;
    }
  }
  return -1;
}

std::optional<ifreq> ask_kernel(const std::string& interface, unsigned long question) {
  const Descriptor any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  interface.copy(request.ifr_name, IF_NAMESIZE - 1);
  if (ioctl(any.get(), question, &request) != 0) return std::nullopt;
  return request;
}

// For a device without an address of its own (net_ring): locally administered, the same at each start.
MacAddress local_address(const std::string& name) {
  const std::uint32_t id = stable_id_of(name);
  MacAddress address{{0x02, 0x00}};
  std::memcpy(address.octets.data() + 2, &id, sizeof id);
  return address;
}

}  // namespace

Result<Mempool> make_mempool(const std::string& name, std::uint32_t count) {
  rte_mempool* pool =
      rte_pktmbuf_pool_create(name.c_str(), count, kPoolCache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool == nullptr) {
    return Error{"packet buffers",
                 std::to_string(count) + " do not fit: " + rte_strerror(rte_errno) + "; give more --memory"};
  }
  return Mempool(pool);
}

Result<Port> Port::open(const PortSetting& setting, rte_mempool& pool) {
  std::uint16_t id = 0;
  // EAL only logs a device that fails, so this is where it is noticed.
  if (rte_eth_dev_get_port_by_name(setting.device.c_str(), &id) != 0) {
    return Error{"port " + setting.name,
                 "device " + setting.device_arguments() +
                     " could not be made; is the interface there and are we allowed?"};
  }
  Port port(setting.name, setting.role, id);
  if (const Result<void> done = port.configure(pool); !done) return done.error();
  port.refresh_state();
  return port;
}

Result<void> Port::configure(rte_mempool& pool) {
  rte_eth_dev_info info{};
  if (const int code = rte_eth_dev_info_get(id_, &info); code != 0)
    return device_error(name_, "no info", code);
  const std::string driver = info.driver_name;
  const std::vector<int> xdp_before = sockets_of(AF_XDP);

  rte_eth_conf conf{};
  conf.intr_conf.rxq = driver == "net_tap" ? 1 : 0;
  if (const int code = rte_eth_dev_configure(id_, 1, 1, &conf); code != 0) {
    return device_error(name_, "cannot be configured", code);
  }
  std::uint16_t rx = kDescriptors;
  std::uint16_t tx = kDescriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx, &tx);
  if (const int code = rte_eth_rx_queue_setup(id_, 0, rx, SOCKET_ID_ANY, nullptr, &pool); code != 0) {
    return device_error(name_, "no receive queue", code);
  }
  if (const int code = rte_eth_tx_queue_setup(id_, 0, tx, SOCKET_ID_ANY, nullptr); code != 0) {
    return device_error(name_, "no transmit queue", code);
  }
  if (const int code = rte_eth_dev_start(id_); code != 0) return device_error(name_, "does not start", code);

  rte_ether_addr mac{};
  rte_eth_macaddr_get(id_, &mac);
  std::memcpy(mac_.octets.data(), mac.addr_bytes, mac_.octets.size());
  if (mac_.none()) mac_ = local_address(name_);
  std::array<char, IF_NAMESIZE> interface {};
  if (info.if_index != 0 && if_indextoname(info.if_index, interface.data()) != nullptr) {
    interface_ = interface.data();
  }
  mtu_ = ask_mtu();

  if (driver == "net_tap") {
    descriptor_ = rte_eth_dev_rx_intr_ctl_q_get_fd(id_, 0);
  } else if (driver == "net_af_packet") {
    descriptor_ = packet_socket_on(info.if_index);
  } else {
    for (int fd : sockets_of(AF_XDP)) {
      if (std::find(xdp_before.begin(), xdp_before.end(), fd) == xdp_before.end()) descriptor_ = fd;
    }
  }
  return {};
}

Port::Port(Port&& other) noexcept
    : name_(std::move(other.name_)),
      role_(other.role_),
      id_(other.id_),
      interface_(std::move(other.interface_)),
      mac_(other.mac_),
      mtu_(other.mtu_),
      up_(other.up_),
      open_(std::exchange(other.open_, false)),
      descriptor_(other.descriptor_),
      counters_(other.counters_) {}

Port::~Port() {
  if (!open_) return;
  rte_eth_dev_stop(id_);
  rte_eth_dev_close(id_);
}

std::uint16_t Port::receive(std::span<rte_mbuf*, kBurst> out) {
  const std::uint16_t count = rte_eth_rx_burst(id_, 0, out.data(), kBurst);
  counters_.rx_packets += count;
  for (std::uint16_t i = 0; i < count; ++i) counters_.rx_octets += out[i]->pkt_len;
  return count;
}

std::uint16_t Port::transmit(std::span<rte_mbuf*> packets) {
  const auto wanted = static_cast<std::uint16_t>(packets.size());
  std::uint16_t sent = 0;
  std::uint64_t octets = 0;  // summed before: the driver frees what it took
  for (const rte_mbuf* packet : packets) octets += packet->pkt_len;
  // A packet socket of an interface that is down queues what it gets and sends it, stale, when it is up
  // again.
  for (int tries = 0; up_ && sent < wanted && tries < kTransmitTries; ++tries) {
    sent = static_cast<std::uint16_t>(
        sent + rte_eth_tx_burst(id_, 0, packets.data() + sent, static_cast<std::uint16_t>(wanted - sent)));
  }
  for (rte_mbuf* packet : packets.subspan(sent)) {
    octets -= packet->pkt_len;
    rte_pktmbuf_free(packet);
  }
  counters_.tx_packets += sent;
  counters_.tx_octets += octets;
  counters_.tx_failed += static_cast<std::uint64_t>(wanted - sent);
  return sent;
}

std::uint16_t Port::ask_mtu() const {
  std::uint16_t mtu = 0;
  if (interface_.empty()) return rte_eth_dev_get_mtu(id_, &mtu) == 0 ? mtu : mtu_;
  const std::optional<ifreq> answer = ask_kernel(interface_, SIOCGIFMTU);
  return answer ? static_cast<std::uint16_t>(std::min(answer->ifr_mtu, 0xffff)) : mtu_;
}

bool Port::ask_state() const {
  if (interface_.empty()) {
    rte_eth_link link{};
    return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
  }
  // Drivers over kernel interfaces report what was at their start, so the kernel is asked.
  const std::optional<ifreq> answer = ask_kernel(interface_, SIOCGIFFLAGS);
  return answer && (answer->ifr_flags & IFF_UP) != 0 && (answer->ifr_flags & IFF_RUNNING) != 0;
}

bool Port::refresh_state() {
  const bool before = std::exchange(up_, ask_state());
  return before != up_;
}

void Port::clear_error() const {
  // Left in place while the interface is down: it keeps the driver's own wait for room from blocking.
  int error = 0;
  socklen_t size = sizeof error;
  if (up_) getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size);
}

}  // namespace perigee
