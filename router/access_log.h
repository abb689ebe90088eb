// The access log: one JSON object a line for each request. No prompt, completion or secret is in it: a record
// has none.
#pragma once

#include <string>

#include "router/request_record.h"

namespace perigee::router {

// Appends the line of `record`, with its LF. Text of others is cut and holds visible ASCII alone.
void append_access_line(std::string& out, const RequestRecord& record);

}  // namespace perigee::router
