// One verb a file; program.cc has the list.
#pragma once

#include "cli/verb.h"

namespace perigee::cli {

Verb check_verb();
Verb compile_verb();
Verb plan_verb();
Verb apply_verb();
Verb status_verb();
Verb links_verb();
Verb endpoints_verb();
Verb services_verb();
Verb explain_verb();
Verb key_verb();
Verb replay_verb();
Verb simulate_verb();

}  // namespace perigee::cli
