// The program `perigee` without its main(): words in, text and an exit code out.
#pragma once

#include <span>
#include <string>

#include "cli/verb.h"

namespace perigee::cli {

// `words` are the command line without the program's name.
int run(std::span<const std::string> words, Terminal& terminal);

}  // namespace perigee::cli
