#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "contract/telemetry_file.h"

namespace perigee::telemetry {
namespace {

// Heartbeats come every 100 ms; ten missed ones are a dead or stuck data plane.
constexpr Nanos kAliveFor = std::chrono::seconds(1);
constexpr int kSlotTries = 8;

std::string reason(int code) { return std::generic_category().message(code); }

std::uint64_t get(const Counter& counter) { return counter.load(std::memory_order_relaxed); }

template <std::size_t N>
std::optional<TableReport> table_report(const Block<N>& block) {
  const auto words = load_block(block);
  if (!words) return std::nullopt;
  TableReport report;
  report.identity = {(*words)[kIdInstance], (*words)[kIdGeneration], (*words)[kIdChecksum]};
  report.at.ns = static_cast<std::int64_t>((*words)[kIdTime]);
  if (report.at.never()) return std::nullopt;
  if constexpr (N > kIdWords) {
    std::array<char, kReasonWords * sizeof(std::uint64_t)> text{};
    std::memcpy(text.data(), words->data() + kIdWords, text.size());
    report.reason.assign(text.data(), strnlen(text.data(), text.size()));
  }
  return report;
}

std::optional<Window> window_of(const LinkSlot& slot) {
  const auto words = load_block(slot.window);
  if (!words || (*words)[kWindowEnd] == 0) return std::nullopt;
  const auto nanos = [&](WindowWord word) { return Nanos(static_cast<std::int64_t>((*words)[word])); };
  Window window;
  window.end.ns = nanos(kWindowEnd).count();
  window.min = nanos(kWindowMin);
  window.p50 = nanos(kWindowP50);
  window.p99 = nanos(kWindowP99);
  window.samples = (*words)[kWindowSamples];
  window.lost = (*words)[kWindowLost];
  window.settled = (*words)[kWindowSettled];
  return window;
}

// Loaded acquire, so that the second look at (id, incarnation) in link_sample() comes after all of them.
template <std::size_t N>
void copy(const std::array<Counter, N>& from, std::array<std::uint64_t, N>& to) {
  std::transform(from.begin(), from.end(), to.begin(),
                 [](const Counter& counter) { return counter.load(std::memory_order_acquire); });
}

void copy_counters(const LinkSlot& slot, LinkSample& sample) {
  const std::array<std::pair<const Counter*, std::uint64_t*>, 13> pairs = {{
      {&slot.sent, &sample.sent},
      {&slot.received, &sample.received},
      {&slot.lost, &sample.lost},
      {&slot.late, &sample.late},
      {&slot.duplicate, &sample.duplicate},
      {&slot.reordered, &sample.reordered},
      {&slot.reflected, &sample.reflected},
      {&slot.transitions, &sample.transitions},
      {&slot.rtt_sum_ns, &sample.rtt_sum_ns},
      {&slot.tx_packets, &sample.tx_packets},
      {&slot.tx_octets, &sample.tx_octets},
      {&slot.rx_packets, &sample.rx_packets},
      {&slot.rx_octets, &sample.rx_octets},
  }};
  for (const auto& [from, to] : pairs) *to = from->load(std::memory_order_acquire);
  copy(slot.invalid, sample.invalid);
  copy(slot.rtt_buckets, sample.rtt_buckets);
}

// The slot's values, all of one incarnation; nothing when it is free or was given out meanwhile.
std::optional<LinkSample> link_sample(const LinkSlot& slot) {
  for (int tries = 0; tries < kSlotTries; ++tries) {
    LinkSample sample;
    sample.incarnation = slot.incarnation.load(std::memory_order_acquire);
    sample.id.value = slot.id.load(std::memory_order_acquire);
    if (sample.id.none()) return std::nullopt;
    const std::uint32_t state = slot.state.load(std::memory_order_acquire);
    sample.state = state <= static_cast<std::uint32_t>(LinkState::down) ? static_cast<LinkState>(state)
                                                                        : LinkState::unknown;
    sample.state_since.ns = slot.state_since_ns.load(std::memory_order_acquire);
    sample.last_sample.ns = slot.last_sample_ns.load(std::memory_order_acquire);
    copy_counters(slot, sample);
    sample.window = window_of(slot);
    // The id first: give_out() stores the incarnation before it, so a new id brings its incarnation along.
    const std::uint32_t id = slot.id.load(std::memory_order_acquire);
    const std::uint64_t incarnation = slot.incarnation.load(std::memory_order_acquire);
    if (id == sample.id.value && incarnation == sample.incarnation) return sample;
  }
  return std::nullopt;
}

std::optional<PathSample> path_sample(const PathSlot& slot) {
  for (int tries = 0; tries < kSlotTries; ++tries) {
    PathSample sample;
    sample.incarnation = slot.incarnation.load(std::memory_order_acquire);
    sample.endpoint.value = slot.endpoint.load(std::memory_order_acquire);
    if (sample.endpoint.none()) return std::nullopt;
    sample.link.value = slot.link.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < sample.times.size(); ++i) {
      sample.times[i].count = slot.times[i].count.load(std::memory_order_acquire);
      sample.times[i].sum_ns = slot.times[i].sum_ns.load(std::memory_order_acquire);
      copy(slot.times[i].recent, sample.times[i].recent);
    }
    const std::uint32_t endpoint = slot.endpoint.load(std::memory_order_acquire);
    const std::uint64_t incarnation = slot.incarnation.load(std::memory_order_acquire);
    if (endpoint == sample.endpoint.value && incarnation == sample.incarnation) return sample;
  }
  return std::nullopt;
}

void add_worker(const WorkerSlot& slot, WorkerSample& sum) {
  for (std::size_t i = 0; i < sum.packets.size(); ++i) sum.packets[i] += get(slot.packets[i]);
  for (std::size_t i = 0; i < sum.drops.size(); ++i) sum.drops[i] += get(slot.drops[i]);
  sum.poll_gap_max_ns = std::max(sum.poll_gap_max_ns, get(slot.poll_gap_max_ns));
  sum.poll_gap_last_ns = std::max(sum.poll_gap_last_ns, get(slot.poll_gap_last_ns));
  sum.sleeps += get(slot.sleeps);
  sum.flows += get(slot.flows);
  sum.flows_created += get(slot.flows_created);
  sum.snat_reused_early += get(slot.snat_reused_early);
  sum.snat_ports_used += get(slot.snat_ports_used);
  sum.snat_ports_total += get(slot.snat_ports_total);
  sum.resets_sent += get(slot.resets_sent);
  sum.flows_recovered += get(slot.flows_recovered);
  sum.half_open_given_up += get(slot.half_open_given_up);
}

PortSample port_sample(const PortSlot& slot) {
  PortSample sample;
  sample.name.assign(slot.name.data(), strnlen(slot.name.data(), slot.name.size()));
  sample.rx_packets = get(slot.rx_packets);
  sample.rx_octets = get(slot.rx_octets);
  sample.tx_packets = get(slot.tx_packets);
  sample.tx_octets = get(slot.tx_octets);
  sample.tx_failed = get(slot.tx_failed);
  sample.link_up = slot.link_up.load(std::memory_order_relaxed) != 0;
  return sample;
}

Result<void> check_header(const Header& header) {
  if (header.magic != kMagic) return Error{"", "not a Perigee telemetry file (magic)"};
  if (header.version != kVersion) {
    return Error{"", "version " + std::to_string(header.version) + ", this program reads version " +
                         std::to_string(kVersion)};
  }
  if (header.size != sizeof(Layout) || header.worker_count > kMaxWorkers || header.port_count > kMaxPorts) {
    return Error{"", "its size, workers or ports are not those of version " + std::to_string(kVersion)};
  }
  return {};
}

}  // namespace

const LinkSample* Snapshot::link(LinkId id) const {
  const auto found =
      std::find_if(links.begin(), links.end(), [id](const auto& link) { return link.id == id; });
  return found == links.end() ? nullptr : &*found;
}

bool Snapshot::alive(Instant now) const {
  // A heartbeat far ahead of the clock was written before this host booted.
  const Nanos age = now - heartbeat;
  return !heartbeat.never() && age < kAliveFor && age > -kAliveFor;
}

Reader::Reader(std::string directory, std::optional<std::uint32_t> owner)
    : directory_(std::move(directory)), owner_(owner) {}

Reader::Reader(Reader&& other) noexcept
    : directory_(std::move(other.directory_)),
      owner_(other.owner_),
      layout_(std::exchange(other.layout_, nullptr)),
      device_(other.device_),
      inode_(other.inode_) {}

Reader& Reader::operator=(Reader&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(owner_, other.owner_);
  std::swap(layout_, other.layout_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

Reader::~Reader() { unmap(); }

void Reader::unmap() {
  if (layout_ != nullptr) munmap(const_cast<Layout*>(layout_), sizeof(Layout));
  layout_ = nullptr;
}

Result<void> Reader::follow() {
  const std::string path = directory_ + "/" + kFileName;
  const auto opened = open_directory(directory_, owner_);
  if (!opened) return opened.error();
  const auto file = open_regular(*opened, kFileName, sizeof(Layout));
  if (!file) return Error{path, file.error().what};
  struct stat info {};
  if (fstat(file->get(), &info) != 0) return Error{path, "cannot be examined: " + reason(errno)};
  // While it is mapped an inode is not given to another file, so the same number is the same file.
  if (layout_ != nullptr && info.st_dev == device_ && info.st_ino == inode_) return {};
  unmap();
  if (info.st_size != sizeof(Layout)) {
    return Error{path, "has " + std::to_string(info.st_size) + " octets, version " +
                           std::to_string(kVersion) + " has " + std::to_string(sizeof(Layout))};
  }
  const void* memory = mmap(nullptr, sizeof(Layout), PROT_READ, MAP_SHARED, file->get(), 0);
  if (memory == MAP_FAILED) return Error{path, "cannot be mapped: " + reason(errno)};
  layout_ = static_cast<const Layout*>(memory);
  device_ = info.st_dev;
  inode_ = info.st_ino;
  if (const auto checked = check_header(layout_->header); !checked) {
    unmap();
    return Error{path, checked.error().what};
  }
  return {};
}

Result<Snapshot> Reader::read() {
  if (const auto followed = follow(); !followed) {
    unmap();
    return followed.error();
  }
  const Header& header = layout_->header;
  Snapshot snapshot;
  snapshot.incarnation = header.incarnation;
  snapshot.pid = header.pid;
  snapshot.started.ns = header.started_ns;
  snapshot.heartbeat.ns = header.heartbeat_ns.load(std::memory_order_relaxed);
  snapshot.flow_capacity = header.flow_capacity;
  snapshot.in_force = table_report(header.in_force);
  snapshot.refused = table_report(header.refused);
  // The writer can change its header after follow() checked it: the arrays' own sizes bound the loops.
  const std::uint32_t workers = std::min(header.worker_count, kMaxWorkers);
  const std::uint32_t ports = std::min(header.port_count, kMaxPorts);
  for (std::uint32_t i = 0; i < workers; ++i) add_worker(layout_->workers[i], snapshot.workers);
  for (std::uint32_t i = 0; i < ports; ++i) {
    snapshot.ports.push_back(port_sample(layout_->ports[i]));
  }
  for (const LinkSlot& slot : layout_->links) {
    if (const auto sample = link_sample(slot)) snapshot.links.push_back(*sample);
  }
  for (const EndpointSlot& slot : layout_->endpoints) {
    const EndpointId id{slot.id.load(std::memory_order_acquire)};
    if (!id.none()) snapshot.endpoints.push_back({id, get(slot.flows_created), get(slot.flows)});
  }
  const std::uint32_t paths = std::min(layout_->paths.used.load(std::memory_order_acquire), kMaxPaths);
  for (std::uint32_t i = 0; i < paths; ++i) {
    if (const auto sample = path_sample(layout_->paths.slots[i])) snapshot.paths.push_back(*sample);
  }
  return snapshot;
}

}  // namespace perigee::telemetry
