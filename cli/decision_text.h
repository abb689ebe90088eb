// The lines of a decision log, read.
#pragma once

#include <string_view>

#include "contract/error.h"
#include "steering/decision_record.h"

namespace perigee::cli {

// One line, without its end. Members that are not known are passed over, so that logs of later versions can
// be read. The error says which member is wrong and what would be right.
Result<DecisionRecord> parse_decision(std::string_view line);

}  // namespace perigee::cli
