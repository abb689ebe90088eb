// Runs `perigee WORDS...` in the test's process.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "cli/program.h"

namespace perigee::cli {

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

inline Ran run_words(const std::vector<std::string>& words) {
  std::ostringstream out;
  std::ostringstream err;
  Terminal terminal{out, err};
  const int code = run(words, terminal);
  return {code, out.str(), err.str()};
}

}  // namespace perigee::cli
