// A decision of the request router as it was made: all that choose() saw, so that it can be made again and
// looked at.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "steering/choice.h"

namespace perigee {

struct RecordedCandidate {
  std::string name;  // of the endpoint
  Contender contender;
};

struct DecisionRecord {
  std::uint64_t snapshot = 0;  // the gateway's number of what it knew; counts from its start
  std::string request_id;
  std::string service, model;
  std::string operation;               // such as "chat"
  std::string request_class;           // of the policy; empty: none
  std::vector<std::string> residency;  // regions it may be served in; empty: any
  std::uint32_t attempt = 1;           // of the request
  std::uint64_t octets = 0;            // of its body
  std::uint64_t tokens = 0;            // of its prompt, as estimated
  ChoiceLaw law;
  Draw draw;
  std::vector<RecordedCandidate> candidates;  // those that mattered, at most kMaxRecorded
  std::string chosen;                         // name; empty: none
  Rule rule = Rule::nothing_left;
};

// One JSON object with its LF. Numbers are in full, so that reading gives the same record. Text is visible
// ASCII; anything else is '?'.
void append_line(std::string& out, const DecisionRecord& record);

// Makes the decision of the record again. Empty: it is the same; else one sentence with both.
[[nodiscard]] std::string replay(const DecisionRecord& record);

}  // namespace perigee
