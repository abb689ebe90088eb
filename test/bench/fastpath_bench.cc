// Nanoseconds per packet of the fast path without port I/O, ours beside the rte_hash prototype, interleaved.
// One JSON line per case; test/bench/fastpath.py makes the table.
#include <rte_cycles.h>
#include <rte_eal.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>

#include "contract/table_file.h"
#include "dataplane/classify.h"
#include "dataplane/forward.h"
#include "test/bench/fastpath_frames.h"
#include "test/bench/rte_hash_prototype.h"

namespace perigee::bench {
namespace {

constexpr std::uint32_t kFlows = 1'000'000;
constexpr std::uint32_t kCapacity = 1U << 21U;
constexpr std::size_t kBurst = RteHashPrototype::kBurst;

IpAddress v4(std::uint32_t value) { return IpAddress::v4(value); }

table::Table make_table() {
  table::Table table;
  table.identity.gateway_instance = table.identity.generation = 1;
  table.pop = table::Name::of("here");
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  table.settings = {.idle_tcp_ns = kHour,
                    .idle_tcp_closing_ns = kHour,
                    .idle_tcp_opening_ns = kHour,
                    .idle_udp_ns = kHour,
                    .path_gone_ns = kHour,
                    .snat_share_percent = 100,
                    .refuse_per_second = 1'000'000'000,
                    .reflect_per_second = 100};
  table::Interface edge;
  edge.port = table::Name::of("edge0");
  edge.prefix_length = 15;
  edge.local = v4(0xc613fffe);
  table::Interface local = edge;
  local.port = table::Name::of("local0");
  local.prefix_length = 24;
  local.local = v4(0x0a0200fe);
  table.interfaces = {edge, local};
  for (std::uint32_t i = 0; i < kSnatAddresses; ++i) table.snat_addresses.push_back(v4(kSnat + i));
  for (std::uint32_t i = 0; i < kEndpoints.size(); ++i) {
    table::Endpoint endpoint;
    endpoint.id = i + 1;
    endpoint.pop = 1;
    endpoint.name = table::Name::of("ep" + std::to_string(i));
    endpoint.address = v4(kEndpoints[i]);
    endpoint.port = kServicePort;
    endpoint.interface = 1;
    table.endpoints.push_back(endpoint);
    table.candidates.push_back({.endpoint = i, .weight = 100});
  }
  table.tiers = {{0, static_cast<std::uint32_t>(kEndpoints.size())}};
  table::Service service;
  service.id = 1;
  service.name = table::Name::of("chat");
  service.vip = v4(kVip);
  service.port = kServicePort;
  service.protocol = kTcp;
  service.tier_count = 1;
  table.services = {service};
  return table;
}

// Both contenders behind one face: rewrites a burst, returns how many were sent on.
class Ours {
 public:
  Ours() {
    std::vector<PortSetting> ports(2);
    ports[0].name = "edge0";
    ports[1].name = "local0";
    for (PortSetting& port : ports) port.role = PortRole::edge;
    table_ = ServingTable::build(make_table(), ports).value();
    forwarder_ =
        Forwarder::open({.state_directory = {}, .flow_capacity = kCapacity, .counters = &counters_}, now_)
            .value();
    forwarder_->adopt(*table_, now_);
  }

  std::size_t process(Frames& frames, std::size_t first, std::size_t count, bool reply) {
    std::array<Packet, kBurst> packets;
    for (std::size_t i = 0; i < count; ++i) {
      packets[i] = {};
      const Arrival arrival{.port = static_cast<std::uint16_t>(reply), .received = now_};
      parse(frames.frame(first + i), arrival, packets[i]);
      const Classified classified = classify(packets[i], *table_);
      forwarder_->prepare(packets[i], classified.service);
    }
    for (std::size_t i = 0; i < count; ++i) forwarder_->prefetch(packets[i]);
    std::size_t sent = 0;
    std::array<std::uint8_t, kMaxRefusal> refusal;
    for (std::size_t i = 0; i < count; ++i) {
      const ForwardResult result = forwarder_->process(packets[i], LinkView{}, now_);
      if (result.verdict == ForwardResult::Verdict::send) ++sent;
      if (result.verdict == ForwardResult::Verdict::refuse) build_refusal(packets[i], result.answer, refusal);
    }
    return sent;
  }

  Instant now_{1'000'000'000};

 private:
  telemetry::WorkerSlot counters_;
  std::unique_ptr<const ServingTable> table_;
  std::unique_ptr<Forwarder> forwarder_;
};

class Theirs {
 public:
  std::size_t process(Frames& frames, std::size_t first, std::size_t count, bool reply) {
    std::array<Packet, kBurst> packets;
    for (std::size_t i = 0; i < count; ++i) {
      packets[i] = {};
      parse(frames.frame(first + i), Arrival{.received = Instant{now_ns_}}, packets[i]);
    }
    const std::size_t sent = prototype_.process({packets.data(), count}, reply, now_ns_);
    std::array<std::uint8_t, kMaxRefusal> refusal;
    for (std::size_t i = sent; i < count; ++i) build_refusal(packets[i], Answer::tcp_reset, refusal);
    return sent;
  }

 private:
  RteHashPrototype prototype_{kCapacity, kVip, kSnat, kEndpoints};
  std::int64_t now_ns_ = 1'000'000'000;
};

struct Case {
  std::string name;
  std::uint8_t flags = kAck;
  bool reply = false;
  bool evict = false;
  bool sent = true;  // otherwise every packet must be refused
  std::function<std::uint32_t()> next_flow;
  std::vector<double> ours_ns{}, theirs_ns{};
};

void evict_caches() {
  static std::vector<std::uint8_t> junk(128U << 20U);
  for (std::size_t i = 0; i < junk.size(); i += 64) ++junk[i];
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "fastpath_bench: %s\n", why.c_str());
  std::exit(1);
}

class Bench {
 public:
  // Opens every flow on both sides and notes where its replies come from.
  void open_flows() {
    open_on(ours_, ours_replies_);
    open_on(theirs_, theirs_replies_);
  }

  void round(Case& item) {
    item.ours_ns.push_back(measure(item, ours_, ours_replies_));
    item.theirs_ns.push_back(measure(item, theirs_, theirs_replies_));
  }

 private:
  template <class Side>
  void open_on(Side& side, std::vector<Tuple>& replies) {
    replies.resize(kFlows);
    for (std::uint32_t first = 0; first < kFlows; first += kBurst) {
      const std::size_t count = std::min<std::size_t>(kBurst, kFlows - first);
      for (std::size_t i = 0; i < count; ++i) {
        frames_.fill(i, client_tuple(first + static_cast<std::uint32_t>(i)), kSyn);
      }
      if (side.process(frames_, 0, count, false) != count)
        die("a flow was not opened near " + std::to_string(first) +
            (std::is_same_v<Side, Ours> ? ", ours" : ", theirs"));
      for (std::size_t i = 0; i < count; ++i) {
        const Tuple sent = tuple_of(frames_.frame(i));
        replies[first + i] = {sent.destination, sent.source, sent.destination_port, sent.source_port};
        frames_.fill(i, replies[first + i], kSyn | kAck);
      }
      if (side.process(frames_, 0, count, true) != count) die("an answer was not sent on");
    }
  }

  template <class Side>
  double measure(const Case& item, Side& side, const std::vector<Tuple>& replies) {
    constexpr int kPasses = 4;
    std::uint64_t cycles = 0;
    for (int pass = 0; pass < kPasses; ++pass) {
      for (std::size_t i = 0; i < kFrames; ++i) {
        const std::uint32_t flow = item.next_flow();
        frames_.fill(i, item.reply ? replies[flow] : client_tuple(flow), item.flags);
      }
      if (item.evict) evict_caches();
      const std::uint64_t start = rte_rdtsc();
      std::size_t sent = 0;
      for (std::size_t first = 0; first < kFrames; first += kBurst) {
        sent += side.process(frames_, first, kBurst, item.reply);
      }
      cycles += rte_rdtsc() - start;
      if (sent != (item.sent ? kFrames : 0)) die(item.name + ": " + std::to_string(sent) + " sent");
    }
    return static_cast<double>(cycles) * 1e9 / static_cast<double>(rte_get_tsc_hz()) / (kPasses * kFrames);
  }

  Frames frames_;
  Ours ours_;
  Theirs theirs_;
  std::vector<Tuple> ours_replies_, theirs_replies_;
};

void print(const Case& item) {
  const auto list = [](const std::vector<double>& values) {
    std::string text;
    for (const double value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
    return text;
  };
  std::printf("{\"case\": \"%s\", \"ours_ns\": [%s], \"rte_hash_ns\": [%s], \"cycles_per_ns\": %f}\n",
              item.name.c_str(), list(item.ours_ns).c_str(), list(item.theirs_ns).c_str(),
              static_cast<double>(rte_get_tsc_hz()) / 1e9);
}

void run(int rounds) {
  std::mt19937 random(1);
  // Both sides of a round must see fresh flows of their own, so each number is given out twice.
  std::uint32_t fresh = 2 * kFlows, unknown = 6 * kFlows;
  std::vector<Case> cases(6);
  cases[0] = {.name = "hot, 1000 flows", .next_flow = [&] { return random() % 1000; }};
  cases[1] = {.name = "random, 1 M flows", .next_flow = [&] { return random() % kFlows; }};
  cases[2] = {.name = "cold, caches evicted", .evict = true, .next_flow = [&] { return random() % kFlows; }};
  cases[3] = {.name = "reply, random", .reply = true, .next_flow = [&] { return random() % kFlows; }};
  cases[4] = {.name = "new flow", .flags = kSyn, .next_flow = [&] { return fresh++; }};
  cases[5] = {.name = "refused", .sent = false, .next_flow = [&] { return unknown++; }};
  Bench bench;
  bench.open_flows();
  for (int i = 0; i < rounds; ++i) {
    for (Case& item : cases) bench.round(item);
  }
  for (const Case& item : cases) print(item);
}

}  // namespace
}  // namespace perigee::bench

int main(int argc, char** argv) {
  const int rounds = argc == 3 && std::string(argv[1]) == "--rounds" ? std::atoi(argv[2]) : 7;
  std::vector<std::string> arguments = {
      "fastpath_bench", "--no-huge",      "-m",       "1024",    "--no-pci",           "--no-shconf",
      "--no-telemetry", "--iova-mode=va", "--lcores", "0@(0-1)", "--log-level=*:error"};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0) return 1;
  perigee::bench::run(rounds > 0 ? rounds : 7);
  return 0;
}
