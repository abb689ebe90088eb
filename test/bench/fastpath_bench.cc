// Nanoseconds per packet of the fast path without port I/O, ours beside the rte_hash prototype, interleaved
// pass by pass. One JSON line per case; test/bench/fastpath.py makes the table.
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>

#include "test/bench/fastpath_sides.h"

namespace perigee::bench {
namespace {

struct Case {
  std::string name;
  std::uint8_t flags = kAck;
  bool reply = false;
  bool evict = false;
  bool sent = true;  // otherwise every packet must be refused
  int passes = 0;    // of kFrames packets, in a round
  std::function<std::uint32_t()> next_flow;
  std::vector<double> ours_ns{}, theirs_ns{};         // a round's median pass
  double ours_least_ns = 1e9, theirs_least_ns = 1e9;  // of all passes
  Stages stages{~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}};
};

void evict_caches() {
  static std::vector<std::uint8_t> junk(128U << 20U);
  for (std::size_t i = 0; i < junk.size(); i += 64) ++junk[i];
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "fastpath_bench: %s\n", why.c_str());
  std::exit(1);
}

// A DPDK heap of transparent huge pages, which is what our own tables lie in (--no-huge memory would be small
// pages). Its socket.
int huge_page_heap() {
  constexpr std::size_t kSize = std::size_t{768} << 20U, kPage = 2U << 20U;
  void* memory = std::aligned_alloc(kPage, kSize);
  if (memory == nullptr || madvise(memory, kSize, MADV_HUGEPAGE) != 0) die("no huge pages");
  constexpr const char* kName = "huge";
  if (rte_malloc_heap_create(kName) != 0 ||
      rte_malloc_heap_memory_add(kName, memory, kSize, nullptr, kSize / kPage, kPage) != 0) {
    die("no heap of huge pages");
  }
  return rte_malloc_heap_get_socket(kName);
}

class Bench {
 public:
  // Opens every flow on both sides and notes where its replies come from.
  explicit Bench(std::uint32_t flows) : flows_(flows), theirs_(huge_page_heap()) {
    open_on(ours_, ours_replies_);
    open_on(theirs_, theirs_replies_);
  }

  void round(Case& item) {
    std::vector<double> ours, theirs;
    for (int pass = 0; pass < item.passes; ++pass) {
      ours.push_back(measure(item, ours_, ours_replies_));
      theirs.push_back(measure(item, theirs_, theirs_replies_));
    }
    item.ours_ns.push_back(take_median(ours));
    item.theirs_ns.push_back(take_median(theirs));
    item.ours_least_ns = std::min(item.ours_least_ns, *std::min_element(ours.begin(), ours.end()));
    item.theirs_least_ns = std::min(item.theirs_least_ns, *std::min_element(theirs.begin(), theirs.end()));
    for (int pass = 0; pass < item.passes; ++pass) measure_stages(item);
  }

 private:
  static double take_median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }

  template <class Side>
  void open_on(Side& side, std::vector<Tuple>& replies) {
    replies.resize(flows_);
    for (std::uint32_t first = 0; first < flows_; first += kBurst) {
      const std::size_t count = std::min<std::size_t>(kBurst, flows_ - first);
      for (std::size_t i = 0; i < count; ++i) {
        frames_.fill(i, client_tuple(first + static_cast<std::uint32_t>(i)), kSyn);
      }
      Sent sent;
      side.process(frames_, 0, count, false, sent);
      if (sent.packets != count) die("a flow was not opened near " + std::to_string(first));
      for (std::size_t i = 0; i < count; ++i) {
        const Tuple to = tuple_of(frames_.frame(i));
        replies[first + i] = {to.destination, to.source, to.destination_port, to.source_port};
        frames_.fill(i, replies[first + i], kSyn | kAck);
      }
      side.process(frames_, 0, count, true, sent);
      if (sent.packets != 2 * count) die("an answer was not sent on");
    }
  }

  void fill(const Case& item, const std::vector<Tuple>& replies) {
    for (std::size_t i = 0; i < kFrames; ++i) {
      const std::uint32_t flow = item.next_flow();
      frames_.fill(i, item.reply ? replies[flow] : client_tuple(flow), item.flags);
    }
    if (item.evict) evict_caches();
  }

  void check(const Case& item, const Sent& sent) {
    if (sent.packets != (item.sent ? kFrames : 0) || sent.refusals != (item.sent ? 0 : kFrames)) {
      die(item.name + ": " + std::to_string(sent.packets) + " sent");
    }
    seen_ = seen_ + sent.seen;
  }

  template <class Side>
  double measure(const Case& item, Side& side, const std::vector<Tuple>& replies) {
    fill(item, replies);
    Sent sent;
    const std::uint64_t start = rte_rdtsc();
    for (std::size_t first = 0; first < kFrames; first += kBurst) {
      side.process(frames_, first, kBurst, item.reply, sent);
    }
    const std::uint64_t cycles = rte_rdtsc() - start;
    check(item, sent);
    return static_cast<double>(cycles) * 1e9 / static_cast<double>(rte_get_tsc_hz()) / kFrames;
  }

  // The least of each stage over all passes: its clock reads are not part of the figures above.
  void measure_stages(Case& item) {
    fill(item, ours_replies_);
    Sent sent;
    Stages stages{};
    for (std::size_t first = 0; first < kFrames; first += kBurst) {
      ours_.process(frames_, first, kBurst, item.reply, sent, &stages);
    }
    check(item, sent);
    for (std::size_t i = 0; i < stages.size(); ++i) item.stages[i] = std::min(item.stages[i], stages[i]);
  }

  std::uint32_t flows_;
  Frames frames_;
  Ours ours_;
  Theirs theirs_;
  std::vector<Tuple> ours_replies_, theirs_replies_;
  volatile std::uint64_t seen_ = 0;
};

void print(const Case& item) {
  const auto list = [](const auto& values, double scale) {
    std::string text;
    for (const auto value : values) {
      text += (text.empty() ? "" : ", ") + std::to_string(static_cast<double>(value) * scale);
    }
    return text;
  };
  const double per_ns = static_cast<double>(rte_get_tsc_hz()) / 1e9;
  std::printf(
      "{\"case\": \"%s\", \"ours_ns\": [%s], \"rte_hash_ns\": [%s], \"ours_least_ns\": %f, "
      "\"rte_hash_least_ns\": %f, \"stages_ns\": [%s], \"cycles_per_ns\": %f}\n",
      item.name.c_str(), list(item.ours_ns, 1).c_str(), list(item.theirs_ns, 1).c_str(), item.ours_least_ns,
      item.theirs_least_ns, list(item.stages, 1 / per_ns / kFrames).c_str(), per_ns);
}

void run(int rounds, std::uint32_t flows, const std::string& only) {
  std::mt19937 random(1);
  std::uint32_t fresh = 2 * flows, unknown = 6'000'000;
  const auto any = [&] { return random() % flows; };
  std::vector<Case> cases(6);
  cases[0] = {.name = "hot, 1000 flows", .passes = 64, .next_flow = [&] { return random() % 1000; }};
  cases[1] = {.name = "random, 1 M flows", .passes = 64, .next_flow = any};
  cases[2] = {.name = "cold, caches evicted", .evict = true, .passes = 4, .next_flow = any};
  cases[3] = {.name = "reply, random", .reply = true, .passes = 64, .next_flow = any};
  cases[4] = {.name = "new flow", .flags = kSyn, .passes = 16, .next_flow = [&] { return fresh++; }};
  cases[5] = {.name = "refused", .sent = false, .passes = 64, .next_flow = [&] { return unknown++; }};
  std::erase_if(cases, [&](const Case& item) { return !item.name.starts_with(only); });
  Bench bench(flows);
  for (int i = 0; i < rounds; ++i) {
    for (Case& item : cases) bench.round(item);
  }
  for (const Case& item : cases) print(item);
}

}  // namespace
}  // namespace perigee::bench

// fastpath_bench [ROUNDS [FLOWS [CASE]]]: all cases, or those whose names start so
int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const int flows = argc > 2 ? std::atoi(argv[2]) : 1'000'000;
  std::vector<std::string> arguments = {
      "fastpath_bench", "--no-huge",      "-m",       "64",      "--no-pci",           "--no-shconf",
      "--no-telemetry", "--iova-mode=va", "--lcores", "0@(0-1)", "--log-level=*:error"};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0) return 1;
  perigee::bench::run(std::max(rounds, 1), static_cast<std::uint32_t>(std::max(flows, 1000)),
                      argc > 3 ? argv[3] : "");
  return 0;
}
