// The journey of a packet of a forwarded service: client -> VIP becomes SNAT address -> endpoint, and back.
//
// The worker calls
//   adopt(table, now)          once after each table swap, before the first packet is classified by it
//   process(burst, ...)        for the classified packets of a burst (Journey::nat and Journey::snat_return)
//   sweep(...)                 once a loop
// One thread only. Nothing here allocates after open(), except adopt().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contract/drop_reason.h"
#include "contract/error.h"
#include "contract/telemetry.h"
#include "contract/units.h"
#include "dataplane/egress.h"
#include "dataplane/flow_reset.h"
#include "dataplane/packet.h"
#include "dataplane/refuse.h"
#include "dataplane/serving_table.h"

namespace perigee {

struct ForwardResult {
  enum class Verdict : std::uint8_t {
    send,    // rewritten in place (IP and above; TTL decremented); it leaves by `egress`
    refuse,  // unchanged; build_refusal(packet, answer, ...) goes back over packet.in; `reason` is counted
    drop,    // unchanged; `reason` is counted. The worker answers with an ICMP error where the reason is
             // ttl_exceeded, or mtu_exceeded: too long for `egress`
  };
  Verdict verdict = Verdict::drop;
  DropReason reason = DropReason::no_flow;
  Answer answer = Answer::none;
  Egress egress;  // of the table in force
};

// A packet to forward, and what became of it.
struct Forwarding {
  Packet* packet = nullptr;
  std::uint32_t service = table::kNone;  // Classified::service; kNone: to a SNAT address
  ForwardResult result;
};

class Forwarder {
 public:
  struct Options {
    // Where the flow state lives: a directory that passes the checks of contract/directory.h and is locked
    // by the caller, on tmpfs so that it ends with the host's uptime. Empty: it ends with the process.
    std::string state_directory;
    std::uint32_t flow_capacity = 1U << 18U;         // flows; about 120 octets each
    std::uint32_t worker = 0, worker_count = 1;      // worker < worker_count <= 16
    telemetry::WorkerSlot* counters = nullptr;       // required; the flow fields of it are written here only
    std::span<telemetry::EndpointSlot> endpoints{};  // slots are given out here, by id; may be empty
    telemetry::Paths* paths = nullptr;               // the same; null: flows are not timed
  };
  // Continues the flows of a previous process where the state file fits (magic, version, boot id, capacity,
  // worker); otherwise starts empty and says why in notices(). Errors: the directory or file cannot be used.
  static Result<std::unique_ptr<Forwarder>> open(const Options& options, Instant now);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // For people, once after open(): flows taken over, state thrown away and why, directory not on tmpfs.
  [[nodiscard]] const std::vector<std::string>& notices() const;

  // Serves `table` from now on; it must outlive the next adopt(). Flows stay. No packet before the first.
  void adopt(const ServingTable& table, Instant now);

  // The worker that has a classified packet's flow: by the high bits of the SNAT port of a reply, by the
  // address of a client; an ICMP error by those of the packet it quotes. `service`: Forwarding::service.
  static std::uint32_t owner_of(const Packet& packet, std::uint32_t service, std::uint32_t worker_count);

  // Decides about each packet, in order, and rewrites those that are sent.
  void process(std::span<Forwarding> burst, LinkView links, Instant now);

  // The answer to a packet that cannot be served (Journey::refuse: port_unsupported), within the rate of the
  // settings: refuse, or drop with refuse_rate_limited.
  ForwardResult refuse(Packet& packet, DropReason reason, Instant now);

  // Ages flows and resets those whose endpoint or every path is gone. Looks at no more than `budget` flows
  // and at each about four times a second if called that often (idle workers: at least every 100 ms). `emit`
  // gets each RST of ours as a whole IPv4 packet; it leaves as the table routes its destination. True: there
  // were more of them than one call sends, so the next should come soon.
  bool sweep(LinkView links, Instant now, std::uint32_t budget, const EmitSegment& emit);

 private:
  struct Impl;
  explicit Forwarder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace perigee
