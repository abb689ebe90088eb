// The two witnesses of a link, through the ports: its probes, and the connections that are forwarded over it.
#include "contract/telemetry_file.h"
#include "test/port/software_pop.h"

namespace perigee::test {
namespace {

// A client of the service and the endpoint it gets, with the clock between their segments.
class Connection {
 public:
  explicit Connection(SoftwarePop& pop) : pop_(pop) {
    pop.send(kEdgePort, from_client(kSyn, 1000, {}));
    pop.look();
    const Out syn = pop.take_one(kLink0Port);
    endpoint_ = syn.packet.destination;
    snat_ = syn.packet.source;
    snat_port_ = syn.packet.source_port;
  }

  void answer(std::uint16_t port, std::optional<std::uint16_t> tag, std::uint8_t flags,
              std::uint32_t sequence, Octets payload = {}) {
    FrameSpec spec;
    spec.tag = tag;
    spec.source = endpoint_;
    spec.destination = snat_;
    spec.source_port = 8000;
    spec.destination_port = snat_port_;
    spec.tcp_flags = flags;
    spec.sequence = sequence;
    spec.acknowledgement = 1001;
    spec.payload = std::move(payload);
    pass(port, spec);
  }
  void ask() { pass(kEdgePort, from_client(kAck, 1001, {1, 2})); }

  // What was counted over the link of new flows; 16 ns are its clock's step.
  [[nodiscard]] std::chrono::microseconds took(telemetry::FlowTiming timing) const {
    const telemetry::PathSlot& slot = pop_.telemetry->paths.slots[0];
    EXPECT_EQ(slot.link.load(), stable_id_of("syd-mel-a"));
    const telemetry::FlowTimes& times = slot.times[static_cast<std::size_t>(timing)];
    EXPECT_EQ(times.count.load(), 1U);
    return std::chrono::duration_cast<std::chrono::microseconds>(Nanos(times.sum_ns.load()));
  }

 private:
  static FrameSpec from_client(std::uint8_t flags, std::uint32_t sequence, Octets payload) {
    FrameSpec spec;
    spec.source_port = 40000;
    spec.tcp_flags = flags;
    spec.sequence = sequence;
    spec.acknowledgement = flags == kSyn ? 0 : 5001;
    spec.payload = std::move(payload);
    return spec;
  }
  void pass(std::uint16_t port, const FrameSpec& spec) {
    pop_.send(port, spec);
    pop_.look();
    pop_.look();
    EXPECT_EQ(pop_.take().size(), 1U);
  }

  SoftwarePop& pop_;
  std::uint32_t endpoint_ = 0, snat_ = 0;
  std::uint16_t snat_port_ = 0;
};

using telemetry::FlowTiming;

TEST(WorkerWitness, ALongerLinkShowsInBoth) {
  SoftwarePop pop;
  table::Table table = lab_table();
  table.links[kSydMelA].probe_ports = 1;
  pop.offer(table);
  pop.run_for(seconds(2));
  pop.silent = {kSydMelB, kSydPer};  // so that no other probe moves the clock
  pop.delay = milliseconds(5);
  pop.run_for(seconds(3));
  pop.delay = {};
  pop.take();
  const auto probes = telemetry::load_block(pop.telemetry->links[kSydMelA].window);
  ASSERT_TRUE(probes);
  EXPECT_GE(Nanos((*probes)[telemetry::kWindowMin]), milliseconds(5));
  EXPECT_LT(Nanos((*probes)[telemetry::kWindowMin]), milliseconds(6));

  Connection connection(pop);
  pop.now = pop.now + milliseconds(5);
  connection.answer(kLink0Port, std::nullopt, kSyn | kAck, 5000);
  EXPECT_EQ(connection.took(FlowTiming::handshake), milliseconds(5));
}

TEST(WorkerWitness, AStalledEngineShowsInTheFirstByteOnly) {
  SoftwarePop pop;
  pop.settle();
  Connection connection(pop);
  pop.now = pop.now + milliseconds(5);
  connection.answer(kLink0Port, std::nullopt, kSyn | kAck, 5000);
  connection.ask();
  pop.now = pop.now + milliseconds(5);
  connection.answer(kLink0Port, std::nullopt, kAck, 5001);
  pop.now = pop.now + milliseconds(60);
  connection.answer(kLink0Port, std::nullopt, kAck, 5001, {7});
  EXPECT_EQ(connection.took(FlowTiming::handshake), milliseconds(5));
  EXPECT_EQ(connection.took(FlowTiming::first_byte), milliseconds(65));
}

// The other PoP chooses the way back: what its choice makes of the link is what traffic has of it.
TEST(WorkerWitness, AnAnswerOverAnotherLinkIsOfTheLinkThatWasLeftOver) {
  SoftwarePop pop;
  pop.settle();
  Connection connection(pop);
  pop.now = pop.now + milliseconds(9);
  connection.answer(kLink1Port, 20, kSyn | kAck, 5000);  // syd-mel-b
  EXPECT_EQ(connection.took(FlowTiming::handshake), milliseconds(9));
}

}  // namespace
}  // namespace perigee::test
