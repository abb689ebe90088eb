#include "router/line_writer.h"

#include <chrono>

namespace perigee::router {
namespace {

// After the first line the writer waits so long for more: one write for many lines.
constexpr auto kGather = std::chrono::milliseconds(10);

}  // namespace

std::string* LineRing::next() {
  const std::uint64_t written = written_.load(std::memory_order_relaxed);
  if (written - read_.load(std::memory_order_acquire) == lines_.size()) {
    lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return nullptr;
  }
  std::string& line = lines_[written % lines_.size()];
  line.clear();
  return &line;
}

void LineRing::take(std::string& out) {
  const std::uint64_t written = written_.load(std::memory_order_acquire);
  std::uint64_t read = read_.load(std::memory_order_relaxed);
  for (; read != written; ++read) out += lines_[read % lines_.size()];
  read_.store(read, std::memory_order_release);
}

LineWriter::LineWriter(std::size_t producers, std::function<void(std::string_view)> write)
    : write_(std::move(write)) {
  for (std::size_t i = 0; i < producers; ++i) rings_.push_back(std::make_unique<LineRing>());
  thread_ = std::thread([this] { run(); });
}

LineWriter::~LineWriter() {
  stopping_.store(true);
  wake();
  thread_.join();
}

void LineWriter::wake() {
  if (awake_.load() || awake_.exchange(true)) return;
  awake_.notify_one();
}

// The flag falls before the rings are read, so that a line is either seen here or wakes the writer again.
void LineWriter::run() {
  std::string lines;
  bool last = false;
  while (!last) {
    awake_.wait(false);
    if (!stopping_.load()) std::this_thread::sleep_for(kGather);
    awake_.store(false);
    last = stopping_.load();
    for (const auto& ring : rings_) ring->take(lines);
    if (!lines.empty()) write_(lines);
    lines.clear();
  }
}

std::uint64_t LineWriter::lost() const {
  std::uint64_t lost = 0;
  for (const auto& ring : rings_) lost += ring->lost();
  return lost;
}

}  // namespace perigee::router
