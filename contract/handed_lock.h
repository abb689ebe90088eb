// The writer's lock of a directory (directory.h), from the process that held it to the one that takes its
// place.
#pragma once

#include "contract/directory.h"

namespace perigee {

// `handed` is the descriptor by which another process holds the lock of `directory`: the lock is ours with
// it, and the other lets go by ending. Writes our pid in. Errors: it is no lock of this directory, or
// somebody else has that by now.
Result<Descriptor> take_over_lock(const Descriptor& directory, const std::string& path, Descriptor handed);

}  // namespace perigee
