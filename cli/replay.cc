#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "cli/decision_text.h"
#include "cli/reading.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

constexpr std::size_t kMaxLine = 64U << 10U;  // a record of eight candidates has some 3 KiB

struct Replayed {
  std::size_t same = 0;
  std::vector<std::string> differ, faults;  // "FILE:LINE: ..."
};

Replayed replay_all(std::istream& lines, const std::string& path) {
  Replayed out;
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    const std::string where = path + ":" + std::to_string(number) + ": ";
    if (line.empty()) continue;
    if (line.size() > kMaxLine) {
      out.faults.push_back(where + "longer than any record");
      continue;
    }
    const auto record = parse_decision(line);
    if (!record) {
      out.faults.push_back(where + record.error().what);
      continue;
    }
    const std::string difference = replay(*record);
    if (difference.empty())
      ++out.same;
    else
      out.differ.push_back(where + difference);
  }
  return out;
}

int run(const Arguments& arguments, Terminal& terminal) {
  const std::string& path = arguments.operand(0);
  std::ifstream file(path);
  if (!file) {
    terminal.err << "perigee: " << path << ": " << std::strerror(errno) << "\n";
    return kFailed;
  }
  const Replayed done = replay_all(file, path);
  for (const std::string& fault : done.faults) terminal.err << "perigee: " << fault << "\n";
  if (arguments.has(kJson.name)) {
    boost::json::array differ(done.differ.begin(), done.differ.end());
    terminal.out << boost::json::serialize(boost::json::object{{"same", done.same},
                                                               {"different", std::move(differ)},
                                                               {"unreadable", done.faults.size()}})
                 << "\n";
  } else {
    for (const std::string& difference : done.differ) terminal.out << difference << "\n";
    terminal.out << done.same << " decisions as recorded, " << done.differ.size() << " different, "
                 << done.faults.size() << " not readable\n";
  }
  return done.differ.empty() && done.faults.empty() ? kOk : kFailed;
}

}  // namespace

Verb replay_verb() {
  return {"replay",
          "makes the decisions of a decision log again, and says which come out differently",
          {"FILE"},
          {kJson},
          run};
}

}  // namespace perigee::cli
