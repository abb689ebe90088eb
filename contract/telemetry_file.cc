#include "contract/telemetry_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

namespace perigee::telemetry {
namespace {

// Of the halves of recent_time(): when in 2^20 ns (about 1.05 ms), how long in 2^6 ns.
constexpr unsigned kAtShift = 20, kTookShift = 6;

std::string reason(int code) { return std::generic_category().message(code); }

template <std::size_t N>
void identity_words(const table::Identity& identity, Instant at, std::array<std::uint64_t, N>& words) {
  words[kIdInstance] = identity.gateway_instance;
  words[kIdGeneration] = identity.generation;
  words[kIdChecksum] = identity.checksum;
  words[kIdTime] = static_cast<std::uint64_t>(at.ns);
}

Result<Layout*> map_new(const Descriptor& file) {
  // Reserved now: a full filesystem is an error here and not a SIGBUS in the packet path.
  if (const int code = posix_fallocate(file.get(), 0, sizeof(Layout)); code != 0) {
    return Error{"", "no room for " + std::to_string(sizeof(Layout)) + " octets: " + reason(code)};
  }
  void* memory = mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return Error{"", "cannot be mapped: " + reason(errno)};
  return new (memory) Layout;
}

}  // namespace

void give_out(LinkSlot& slot, LinkId id, std::uint64_t incarnation) {
  // Released in this order, so that a reader that saw one value of the reset also sees that the id changed.
  slot.id.store(0, std::memory_order_release);
  const auto clear = [](auto& value) { value.store(0, std::memory_order_release); };
  clear(slot.state);
  clear(slot.state_since_ns);
  clear(slot.last_sample_ns);
  for (Counter* counter : {&slot.sent, &slot.received, &slot.lost, &slot.late, &slot.duplicate,
                           &slot.reordered, &slot.reflected, &slot.transitions, &slot.rtt_sum_ns,
                           &slot.tx_packets, &slot.tx_octets, &slot.rx_packets, &slot.rx_octets}) {
    clear(*counter);
  }
  for (Counter& counter : slot.invalid) clear(counter);
  for (Counter& counter : slot.rtt_buckets) clear(counter);
  store_block(slot.window, {});
  slot.incarnation.store(incarnation, std::memory_order_release);
  slot.id.store(id.value, std::memory_order_release);
}

void give_out(PathSlot& slot, EndpointId endpoint, LinkId link, std::uint64_t incarnation) {
  slot.endpoint.store(0, std::memory_order_release);
  slot.link.store(link.value, std::memory_order_release);
  for (FlowTimes& times : slot.times) {
    times.count.store(0, std::memory_order_release);
    times.sum_ns.store(0, std::memory_order_release);
    for (std::atomic<std::uint64_t>& word : times.recent) word.store(0, std::memory_order_release);
  }
  slot.incarnation.store(incarnation, std::memory_order_release);
  slot.endpoint.store(endpoint.value, std::memory_order_release);
}

std::uint64_t recent_time(Instant at, Nanos took) {
  const std::uint64_t value = static_cast<std::uint64_t>(took.count()) >> kTookShift;
  // Never 0, which is none.
  return (static_cast<std::uint64_t>(at.ns) >> kAtShift) << 32U |
         std::clamp<std::uint64_t>(value, 1, 0xffffffffU);
}

void FlowTimesSample::add_recent(Instant now, std::vector<Nanos>& times) const {
  const auto tick = static_cast<std::uint32_t>(static_cast<std::uint64_t>(now.ns) >> kAtShift);
  constexpr auto kWindow = static_cast<std::int32_t>(kFlowWindow.count() >> kAtShift);
  for (const std::uint64_t word : recent) {
    // One that is younger than `now` was stored while that was on its way here.
    const auto age = static_cast<std::int32_t>(tick - static_cast<std::uint32_t>(word >> 32U));
    if (word != 0 && age <= kWindow && age >= -kWindow)
      times.emplace_back((word & 0xffffffffU) << kTookShift);
  }
}

void store_window(LinkSlot& slot, const Window& window) {
  std::array<std::uint64_t, kWindowWords> words{};
  words[kWindowEnd] = static_cast<std::uint64_t>(window.end.ns);
  words[kWindowMin] = static_cast<std::uint64_t>(window.min.count());
  words[kWindowP50] = static_cast<std::uint64_t>(window.p50.count());
  words[kWindowP99] = static_cast<std::uint64_t>(window.p99.count());
  words[kWindowSamples] = window.samples;
  words[kWindowLost] = window.lost;
  words[kWindowSettled] = window.settled;
  store_block(slot.window, words);
}

Result<Writer> Writer::create(const std::string& directory, const Shape& shape) {
  const std::string path = directory + "/" + kFileName;
  const auto at_path = [&path](const Error& error) { return Error{path, error.what}; };
  if (shape.workers == 0 || shape.workers > kMaxWorkers || shape.ports.size() > kMaxPorts) {
    return Error{path, "needs 1 to " + std::to_string(kMaxWorkers) + " workers and at most " +
                           std::to_string(kMaxPorts) + " ports"};
  }
  const auto opened = open_directory(directory);
  if (!opened) return opened.error();
  auto file = NewFile::create(*opened, kFileName);
  if (!file) return at_path(file.error());
  const auto mapped = map_new(file->descriptor());
  if (!mapped) return at_path(mapped.error());
  Writer writer(*mapped);
  Header& header = writer.layout_->header;
  if (getrandom(&header.incarnation, sizeof header.incarnation, 0) != sizeof header.incarnation) {
    return Error{path, "no random incarnation: " + reason(errno)};
  }
  header.magic = kMagic;
  header.version = kVersion;
  header.size = sizeof(Layout);
  header.started_ns = monotonic_now().ns;
  header.pid = static_cast<std::uint32_t>(getpid());
  header.flow_capacity = shape.flow_capacity;
  header.worker_count = shape.workers;
  header.port_count = static_cast<std::uint32_t>(shape.ports.size());
  for (std::size_t i = 0; i < shape.ports.size(); ++i) {
    writer.layout_->ports[i].name = table::Name::of(shape.ports[i]).text;
  }
  if (const auto published = file->publish(); !published) return at_path(published.error());
  return writer;
}

Writer::Writer(Writer&& other) noexcept : layout_(std::exchange(other.layout_, nullptr)) {}

Writer& Writer::operator=(Writer&& other) noexcept {
  std::swap(layout_, other.layout_);
  return *this;
}

Writer::~Writer() {
  // The file stays: its last values are what readers see until the next start replaces it.
  if (layout_ != nullptr) munmap(layout_, sizeof(Layout));
}

void Writer::set_in_force(const table::Identity& identity, Instant now) {
  std::array<std::uint64_t, kIdWords> words{};
  identity_words(identity, now, words);
  store_block(layout_->header.in_force, words);
}

void Writer::set_refused(const table::Identity& identity, const std::string& text, Instant now) {
  std::array<std::uint64_t, kIdWords + kReasonWords> words{};
  identity_words(identity, now, words);
  const std::string_view kept = table::cut_text(text, kReasonWords * sizeof(std::uint64_t));
  std::memcpy(words.data() + kIdWords, kept.data(), kept.size());
  store_block(layout_->header.refused, words);
}

}  // namespace perigee::telemetry
