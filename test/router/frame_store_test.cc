#include "router/frame_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace perigee::router {
namespace {

struct Frame {
  unsigned char* octets;
  std::size_t size;
};

Frame filled(std::size_t size, unsigned char with) {
  auto* octets = static_cast<unsigned char*>(take_frame(size));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(octets) % alignof(std::max_align_t), 0U);
  std::memset(octets, with, size);
  return {octets, size};
}

bool holds(const Frame& frame, unsigned char what) {
  for (std::size_t i = 0; i < frame.size; ++i)
    if (frame.octets[i] != what) return false;
  return true;
}

// More of each size than are kept, of sizes that share a place and of one that is too large for any.
TEST(FrameStore, FramesInUseShareNothing) {
  for (int round = 0; round < 3; ++round) {
    std::vector<Frame> frames;
    for (const std::size_t size : {1UL, 63UL, 64UL, 65UL, 4096UL, 4097UL})
      for (int i = 0; i < 40; ++i) frames.push_back(filled(size, static_cast<unsigned char>(frames.size())));
    for (std::size_t i = 0; i < frames.size(); ++i) {
      EXPECT_TRUE(holds(frames[i], static_cast<unsigned char>(i))) << frames[i].size;
      give_frame(frames[i].octets, frames[i].size);
    }
  }
}

TEST(FrameStore, AnotherThreadMayGiveThemBack) {
  const Frame frame = filled(200, 1);
  std::thread([&] { give_frame(frame.octets, frame.size); }).join();
}

}  // namespace
}  // namespace perigee::router
