#include "router/frame_store.h"

#include <array>
#include <new>

namespace perigee::router {
namespace {

constexpr std::size_t kStep = 64;   // sizes are rounded up to a multiple
constexpr std::size_t kSizes = 64;  // up to 4 KiB: larger ones are not kept
constexpr std::size_t kKept = 32;   // of each size; those of many idle streams go back to the system
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeeps = false;  // AddressSanitizer sees the use of a frame that is gone
#else
constexpr bool kKeeps = true;
#endif

struct Kept {
  std::array<void*, kKept> frames{};
  std::size_t count = 0;
};

class Store {
 public:
  ~Store() {
    for (Kept& kept : sizes_)
      while (kept.count > 0) ::operator delete(kept.frames[--kept.count]);
  }
  std::array<Kept, kSizes> sizes_;
};

Kept* place_of(std::size_t size) {
  thread_local Store store;
  const std::size_t index = (size - 1) / kStep;
  return kKeeps && index < kSizes ? &store.sizes_[index] : nullptr;
}

}  // namespace

void* take_frame(std::size_t size) {
  Kept* const kept = place_of(size);
  if (kept != nullptr && kept->count > 0) return kept->frames[--kept->count];
  return ::operator new((size + kStep - 1) / kStep * kStep);
}

void give_frame(void* frame, std::size_t size) noexcept {
  Kept* const kept = place_of(size);
  if (kept != nullptr && kept->count < kKept)
    kept->frames[kept->count++] = frame;
  else
    ::operator delete(frame);
}

}  // namespace perigee::router
