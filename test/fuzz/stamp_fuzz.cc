// The octets of a UDP datagram as test packet and as reply: codec, reflector, prober. The first octet picks
// what of the datagram's header fits the link, so that inputs get past each test.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "dataplane/prober.h"
#include "dataplane/reflector.h"

namespace {

using namespace perigee;

void check(bool holds) {
  if (!holds) std::abort();
}

struct World {
  std::unique_ptr<telemetry::Layout> layout = std::make_unique<telemetry::Layout>();
  std::mt19937_64 random{1};  // NOLINT(cert-msc51-cpp): the same in every run
  NtpClock clock{Instant{0}, std::chrono::seconds(1'700'000'000)};
  LinkSlots slots{*layout, random};
  Prober prober{slots, clock, random};
  Reflector reflector{slots, clock};
  Instant now{1'000'000'000};
  std::vector<std::uint8_t> last_test;
  std::uint16_t last_port = 0;

  World() {
    table::Table table;
    table::Link link;
    link.id = 1;
    link.peer = IpAddress::v4(10, 0, 0, 2);
    link.probe_interval_ns = 1'000'000;
    link.loss_deadline_ns = 50'000'000;
    link.max_residence_ns = 20'000'000;
    link.window_ns = 1'000'000'000;
    table.links = {link};
    table.settings.reflect_per_second = 1'000'000'000;
    const auto origin = slots.adopt(table.links, now);
    prober.adopt(table, origin, now);
    reflector.adopt(table, origin);
  }

  void tick() {
    now = now + std::chrono::milliseconds(1);
    prober.judge(now, std::array{now});  // one link
    prober.run(now, [this](const Probe& probe) {
      last_test.assign(probe.payload.begin(), probe.payload.end());
      last_port = probe.source_port;
      return std::optional(now);
    });
  }
};

void check_codec(std::span<const std::uint8_t> payload) {
  std::array<std::uint8_t, stamp::kBaseSize> octets{};
  const auto test = stamp::decode_test(payload);
  check(test.has_value() == (payload.size() >= stamp::kMinTestSize));
  if (test) {
    encode(*test, octets);
    check(stamp::decode_test(octets) == test);
  }
  const auto reply = stamp::decode_reply(payload);
  check(reply.has_value() == (payload.size() >= stamp::kMinReplySize));
  if (reply) {
    encode(*reply, octets);
    check(stamp::decode_reply(octets) == reply);
    elapsed(reply->received, reply->sent, reply->error);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  if (size == 0) return 0;
  const std::uint8_t shape = data[0];
  const std::span<const std::uint8_t> payload(data + 1, size - 1);
  check_codec(payload);
  world.tick();

  stamp::Datagram datagram{
      static_cast<std::size_t>(shape & 1U), IpAddress::v4(10, 0, 0, 2), 862, 862, 255, payload, world.now};
  std::array<std::uint8_t, 512> out{};
  const auto made = world.reflector.reflect(datagram, world.now, out);
  check(made.size <= std::max(payload.size(), stamp::kBaseSize) && made.size <= out.size());

  datagram.destination_port = world.last_port;
  world.prober.on_reply(datagram);
  // The same over the echo of what we sent: sequence and T1 fit, the rest is the input's.
  std::vector<std::uint8_t> fitting(payload.begin(), payload.end());
  if ((shape & 2U) != 0 && fitting.size() >= stamp::kMinReplySize) {
    std::copy_n(world.last_test.begin(), 14, fitting.begin() + 24);
    datagram.payload = fitting;
    datagram.link = 0;
    datagram.received = world.now + Nanos(std::int64_t{shape} << 16U);
    world.prober.on_reply(datagram);
  }
  return 0;
}
