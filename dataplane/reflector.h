// The Session-Reflector (RFC 8762 section 4.3), stateless: the reply's sequence is a copy of the sender's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "contract/drop_reason.h"
#include "contract/table.h"
#include "dataplane/link_slots.h"
#include "dataplane/rate_limit.h"
#include "dataplane/stamp.h"

namespace perigee {

class Reflector {
 public:
  struct Reflection {
    std::size_t size = 0;                              // octets of UDP payload written; 0: dropped
    DropReason dropped = DropReason::stamp_malformed;  // only where size is 0
  };

  // `slots` outlives this and adopts each table before adopt() is called here.
  Reflector(const LinkSlots& slots, const NtpClock& clock) : slots_(slots), clock_(clock) {}

  // Answers for the links of `table`: their peers only, Settings::reflect_per_second for each link. `origin`
  // is what LinkSlots::adopt returned for it. Allocates.
  void adopt(const table::Table& table, std::span<const std::uint32_t> origin);

  // The reply to `test`, built into `out`, to be sent now from the address and port it was sent to, back to
  // its source (link's local address, probe_port). T2 is test.received, T3 is `now`. What follows the
  // 44 octets in the test packet (padding, TLVs we do not know) is returned as it came, cut to out.size(); so
  // the reply is never longer than the longer of the test packet and the base. `out` holds at least 44 octets
  // and may be the buffer of the payload itself.
  Reflection reflect(const stamp::Datagram& test, Instant now, std::span<std::uint8_t> out);

 private:
  struct Peer {
    IpAddress address;
    std::uint16_t port = 0;  // ours, that test packets come to
    RateLimit limit;
  };
  const LinkSlots& slots_;
  NtpClock clock_;
  std::uint32_t rate_ = 0;
  std::vector<Peer> peers_;  // by link index
};

}  // namespace perigee
