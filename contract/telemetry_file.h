// The two ends of the telemetry mapping: the data plane creates and writes it, everyone else reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "contract/directory.h"
#include "contract/error.h"
#include "contract/telemetry.h"

namespace perigee::telemetry {

// Writes the words of a block: sequence odd, words, sequence even. One writer only.
template <std::size_t N>
void store_block(Block<N>& block, const std::array<std::uint64_t, N>& words);

// A quiet copy of the block, or nothing after 8 tries.
template <std::size_t N>
std::optional<std::array<std::uint64_t, N>> load_block(const Block<N>& block);

// Gives a slot to a link: frees it, resets everything in it, then stores `incarnation` (which must differ
// from the last one) and `id`. Readers see the old link, none, or the new one, never a mixture. `id` 0 frees
// it.
void give_out(LinkSlot& slot, LinkId id, std::uint64_t incarnation);

// The same for an endpoint over a link; `link` none: in this PoP.
void give_out(PathSlot& slot, EndpointId endpoint, LinkId link, std::uint64_t incarnation);

void store_window(LinkSlot& slot, const Window& window);

// A word of FlowTimes::recent: `took` at `at`, in 64 ns and up to 274 s, within 52 days.
std::uint64_t recent_time(Instant at, Nanos took);

// Creates the mapping in `directory` (checked, and locked by the caller) and renames it into place.
class Writer {
 public:
  struct Shape {
    std::uint32_t workers = 1;
    std::uint32_t flow_capacity = 0;
    std::vector<std::string> ports;
  };
  static Result<Writer> create(const std::string& directory, const Shape& shape);
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;
  ~Writer();

  [[nodiscard]] Layout& layout() { return *layout_; }

  void set_in_force(const table::Identity& identity, Instant now);
  void set_refused(const table::Identity& identity, const std::string& reason, Instant now);

 private:
  explicit Writer(Layout* layout) : layout_(layout) {}
  Layout* layout_ = nullptr;
};

// Plain values, for readers.
struct LinkSample {
  LinkId id;
  std::uint64_t incarnation = 0;
  LinkState state = LinkState::unknown;
  Instant state_since, last_sample;
  std::uint64_t sent = 0, received = 0, lost = 0, late = 0, duplicate = 0, reordered = 0, reflected = 0,
                transitions = 0, rtt_sum_ns = 0, tx_packets = 0, tx_octets = 0, rx_packets = 0, rx_octets = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(InvalidReply::count_)> invalid{};
  std::array<std::uint64_t, kRttEdgesSeconds.size() + 1> rtt_buckets{};
  std::optional<Window> window;  // absent: none published, or no quiet copy
};

struct PortSample {
  std::string name;
  std::uint64_t rx_packets = 0, rx_octets = 0, tx_packets = 0, tx_octets = 0, tx_failed = 0;
  bool link_up = false;
};

struct WorkerSample {  // summed over workers; gaps are the longest of them
  std::array<std::uint64_t, static_cast<std::size_t>(Verdict::count_)> packets{};
  std::array<std::uint64_t, kDropReasonCount> drops{};
  std::uint64_t poll_gap_max_ns = 0, poll_gap_last_ns = 0, sleeps = 0, flows = 0, flows_created = 0,
                snat_reused_early = 0, snat_ports_used = 0, snat_ports_total = 0, resets_sent = 0,
                flows_recovered = 0, half_open_given_up = 0;
};

struct EndpointSample {
  EndpointId id;
  std::uint64_t flows_created = 0, flows = 0;
};

struct FlowTimesSample {
  std::uint64_t count = 0, sum_ns = 0;
  std::array<std::uint64_t, kRecentTimes> recent{};

  // Adds those not older than kFlowWindow.
  void add_recent(Instant now, std::vector<Nanos>& times) const;
};

struct PathSample {
  EndpointId endpoint;
  LinkId link;  // none: the endpoint is in the data plane's PoP
  std::uint64_t incarnation = 0;
  std::array<FlowTimesSample, static_cast<std::size_t>(FlowTiming::count_)> times{};

  [[nodiscard]] const FlowTimesSample& of(FlowTiming timing) const {
    return times[static_cast<std::size_t>(timing)];
  }
};

struct TableReport {
  table::Identity identity;
  Instant at;
  std::string reason;  // of a refusal
};

struct Snapshot {
  std::uint64_t incarnation = 0;
  std::uint32_t pid = 0;
  Instant started, heartbeat;
  std::uint32_t flow_capacity = 0;
  std::optional<TableReport> in_force, refused;
  WorkerSample workers;
  std::vector<PortSample> ports;
  std::vector<LinkSample> links;
  std::vector<EndpointSample> endpoints;
  std::vector<PathSample> paths;

  [[nodiscard]] const LinkSample* link(LinkId id) const;
  // The data plane wrote its heartbeat within the last second.
  [[nodiscard]] bool alive(Instant now) const;
};

// Follows the file through restarts of the data plane: each read() looks whether another file was renamed
// into place. An error means there is no readable data plane now; the next call tries again.
class Reader {
 public:
  // Nothing is opened before the first read(). `owner`: uid the directory must have besides ours and root.
  explicit Reader(std::string directory, std::optional<std::uint32_t> owner = std::nullopt);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  Result<Snapshot> read();

 private:
  Result<void> follow();
  void unmap();

  std::string directory_;
  std::optional<std::uint32_t> owner_;
  const Layout* layout_ = nullptr;
  std::uint64_t device_ = 0, inode_ = 0;
};

template <std::size_t N>
void store_block(Block<N>& block, const std::array<std::uint64_t, N>& words) {
  const std::uint64_t sequence = block.sequence.load(std::memory_order_relaxed);
  // An acquire-release exchange, so that no word below is seen before the odd sequence.
  block.sequence.exchange(sequence | 1U, std::memory_order_acq_rel);
  for (std::size_t i = 0; i < N; ++i) block.words[i].store(words[i], std::memory_order_release);
  block.sequence.store((sequence | 1U) + 1, std::memory_order_release);
}

template <std::size_t N>
std::optional<std::array<std::uint64_t, N>> load_block(const Block<N>& block) {
  for (int tries = 0; tries < 8; ++tries) {
    const std::uint64_t before = block.sequence.load(std::memory_order_acquire);
    if ((before & 1U) != 0) continue;
    std::array<std::uint64_t, N> words;
    for (std::size_t i = 0; i < N; ++i) words[i] = block.words[i].load(std::memory_order_acquire);
    if (block.sequence.load(std::memory_order_relaxed) == before) return words;
  }
  return std::nullopt;
}

}  // namespace perigee::telemetry
