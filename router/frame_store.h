// Where the frames of coroutines come from. Every request takes some of a few sizes and gives them back, most
// of them larger than what malloc is quick with: each thread keeps a few of each size.
#pragma once

#include <cstddef>

namespace perigee::router {

// Of `size` octets, aligned as operator new does. No memory ends the process, as everywhere.
[[nodiscard]] void* take_frame(std::size_t size);
// `frame` came from take_frame(size), on any thread.
void give_frame(void* frame, std::size_t size) noexcept;

}  // namespace perigee::router
