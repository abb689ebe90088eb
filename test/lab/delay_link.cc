#include "test/lab/delay_link.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace perigee::lab {
namespace {

Instant clock_read(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return Instant{now.tv_sec * 1'000'000'000 + now.tv_nsec};
}

Error system_error(const std::string& where) { return {where, std::strerror(errno)}; }

Result<Descriptor> open_interface(const std::string& interface) {
  // No protocol yet: nothing is received before bind(), so nothing from another interface.
  Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_error("packet socket");
  const int on = 1;
  if (setsockopt(socket.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0) {
    return system_error("PACKET_IGNORE_OUTGOING");
  }
  if (setsockopt(socket.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0) {
    return system_error("SO_TIMESTAMPNS");
  }
  const int buffer = 8 << 20;  // bulk bursts; without the privilege the system's limit holds
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0) {
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (address.sll_ifindex == 0) return system_error(interface);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return system_error(interface);
  }
  return socket;
}

struct ReceiveBatch {
  struct Control {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(timespec))> octets;
  };
  std::array<std::array<std::uint8_t, kMaxFrame>, kBatch> frames;
  std::array<Control, kBatch> control;
  std::array<iovec, kBatch> pieces{};
  std::array<mmsghdr, kBatch> messages{};

  int receive(int socket) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      pieces[i] = {frames[i].data(), kMaxFrame};
      messages[i].msg_hdr = {};
      messages[i].msg_hdr.msg_iov = &pieces[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = control[i].octets.data();
      messages[i].msg_hdr.msg_controllen = control[i].octets.size();
    }
    return recvmmsg(socket, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  }
};

// How long ago the kernel received the message; 0 when it does not say or its clock was set meanwhile.
Nanos age(msghdr& message, Instant realtime_now) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(item), sizeof stamp);
    const Nanos since = realtime_now - Instant{stamp.tv_sec * 1'000'000'000 + stamp.tv_nsec};
    return since < Nanos{0} || since > std::chrono::seconds(1) ? Nanos{0} : since;
  }
  return Nanos{0};
}

// The flags octet of a TCP segment: IPv4 without a VLAN tag, which is all the lab sends.
std::optional<std::uint8_t> tcp_flags(const std::uint8_t* octets, std::size_t length) {
  if (length < 14 + 20 + 20 || octets[12] != 0x08 || octets[13] != 0x00) return std::nullopt;
  const std::size_t ip_length = (octets[14] & 0x0fU) * 4U;
  if (octets[14 + 9] != IPPROTO_TCP || length < 14 + ip_length + 20) return std::nullopt;
  return octets[14 + ip_length + 13];
}

template <class Number>
std::string field(const char* name, Number value) {
  return std::string("\"") + name + "\": " + std::to_string(value);
}

std::string text(const WatchCount& count) {
  return "\"" + count.address.text() + "\": {" + field("tcp", count.tcp) + ", " +
         field("tcp_syn", count.tcp_syn) + ", " + field("last_tcp_ns", count.last_tcp_ns) + ", " +
         field("last_tcp_syn_ns", count.last_tcp_syn_ns) + "}";
}

std::string text(const Direction& direction) {
  const DirectionCount& count = direction.count();
  std::string watched;
  for (const WatchCount& one : direction.watched()) watched += (watched.empty() ? "" : ", ") + text(one);
  return "{" + field("received", count.received) + ", " + field("sent", count.sent) + ", " +
         field("lost", count.lost) + ", " + field("cut", count.cut) + ", " +
         field("overflow", count.overflow) + ", " + field("oversize", count.oversize) + ", " +
         field("unsent", count.unsent) + ", " + field("queued", direction.queued()) + ", \"watched\": {" +
         watched + "}}";
}

}  // namespace

Direction::Direction(int from, int to, const std::vector<IpAddress>& watched) : from_(from), to_(to) {
  for (const IpAddress& address : watched) watched_.emplace_back().address = address;
}

void Direction::receive(const Impairment& impairment, std::mt19937_64& random) {
  static ReceiveBatch batch;  // one thread uses it, and 50 KB is much for a stack
  const int messages = batch.receive(from_);
  if (messages <= 0) return;  // nothing, or the interface went down: that error is taken by this call
  const Instant now = monotonic_now();
  const Instant realtime_now = clock_read(CLOCK_REALTIME);
  for (std::size_t i = 0; i < static_cast<std::size_t>(messages); ++i) {
    msghdr& header = batch.messages[i].msg_hdr;
    ++count_.received;
    if ((header.msg_flags & MSG_TRUNC) != 0) {
      ++count_.oversize;
      continue;
    }
    accept(batch.frames[i].data(), batch.messages[i].msg_len, now - age(header, realtime_now), impairment,
           random);
  }
}

void Direction::accept(const std::uint8_t* octets, std::size_t length, Instant received,
                       const Impairment& impairment, std::mt19937_64& random) {
  watch(octets, length, received);
  if (impairment.cut) {
    ++count_.cut;
    return;
  }
  if (impairment.loss > 0 && std::uniform_real_distribution<>(0, 1)(random) < impairment.loss) {
    ++count_.lost;
    return;
  }
  if (queue_.size() >= kMaxQueued) {
    ++count_.overflow;
    return;
  }
  last_due_ = std::max(last_due_, received + impairment.delay);
  Frame& frame = queue_.emplace_back();
  frame.due = last_due_;
  frame.length = static_cast<std::uint16_t>(length);
  std::memcpy(frame.octets.data(), octets, length);
}

void Direction::watch(const std::uint8_t* octets, std::size_t length, Instant received) {
  const auto flags = tcp_flags(octets, length);
  if (!flags) return;
  const auto address = [octets](std::size_t at) {
    return IpAddress::v4(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
  };
  for (WatchCount& count : watched_) {
    if (address(14 + 12) != count.address && address(14 + 16) != count.address) continue;
    ++count.tcp;
    count.last_tcp_ns = received.ns;
    if ((*flags & 0x12U) != 0x02) continue;  // SYN without ACK
    ++count.tcp_syn;
    count.last_tcp_syn_ns = received.ns;
  }
}

void Direction::release(Instant now) {
  std::array<iovec, kBatch> pieces;
  std::array<mmsghdr, kBatch> messages{};
  unsigned due = 0;
  while (due < kBatch && due < queue_.size() && queue_[due].due <= now) {
    pieces[due] = {queue_[due].octets.data(), queue_[due].length};
    messages[due].msg_hdr.msg_iov = &pieces[due];
    messages[due].msg_hdr.msg_iovlen = 1;
    ++due;
  }
  if (due == 0) return;
  // A frame the device does not take is lost, as on a wire.
  const int sent = std::max(sendmmsg(to_, messages.data(), due, MSG_DONTWAIT), 0);
  count_.sent += static_cast<unsigned>(sent);
  const auto gone = static_cast<unsigned>(sent) < due ? static_cast<unsigned>(sent) + 1 : due;
  count_.unsent += gone - static_cast<unsigned>(sent);
  queue_.erase(queue_.begin(), queue_.begin() + gone);
}

Result<DelayLink> DelayLink::open(const std::string& name, const std::string& a, const std::string& b,
                                  const Settings& settings) {
  auto socket_a = open_interface(a);
  if (!socket_a) return socket_a.error();
  auto socket_b = open_interface(b);
  if (!socket_b) return socket_b.error();
  return DelayLink(name, std::move(*socket_a), std::move(*socket_b), settings);
}

DelayLink::DelayLink(std::string name, Descriptor a, Descriptor b, const Settings& settings)
    : name_(std::move(name)),
      a_(std::move(a)),
      b_(std::move(b)),
      a_to_b_(a_.get(), b_.get(), settings.watched),
      b_to_a_(b_.get(), a_.get(), settings.watched),
      initial_delay_(settings.delay),
      impairment_{.delay = settings.delay} {}

void DelayLink::cut() {
  impairment_.cut = true;
  a_to_b_.clear();
  b_to_a_.clear();
}

std::string DelayLink::status() const {
  return "\"" + name_ + "\": {\"delay_ms\": " +
         std::to_string(std::chrono::duration<double, std::milli>(impairment_.delay).count()) +
         ", \"loss_percent\": " + std::to_string(impairment_.loss * 100) +
         ", \"cut\": " + (impairment_.cut ? "true" : "false") + ", \"a_to_b\": " + text(a_to_b_) +
         ", \"b_to_a\": " + text(b_to_a_) + "}";
}

}  // namespace perigee::lab
