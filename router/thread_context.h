// What the sessions of one thread share. Everything here belongs to that thread, but for what is named
// `shared`.
#pragma once

#include <memory>
#include <string>

#include "router/cost_samples.h"
#include "router/endpoint_pool.h"
#include "router/held_body.h"
#include "router/http1_exchange.h"
#include "router/loop.h"
#include "router/request_id.h"
#include "router/request_record.h"
#include "router/response_ids.h"
#include "router/snapshot.h"

namespace perigee::router {

// What all threads of the process write.
struct SharedCounters {
  RetryCounters retries;
  HeldOctets held;
  ResponseIds responses;
};

struct ThreadContext {
  Loop& loop;
  EndpointPool& pool;
  Scratch client_scratch;
  Scratch endpoint_scratch;
  RecordSink& records;
  SharedCounters& shared;
  RequestNames names;
  std::shared_ptr<const RouterSnapshot> snapshot;  // never null; swapped whole
  bool draining = false;                           // answers close their connection
  bool drain_over = false;                         // what still runs ends now
  // Read by the control loop.
  std::unique_ptr<CostSamples> samples = std::make_unique<CostSamples>();
};

}  // namespace perigee::router
