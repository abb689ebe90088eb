// A policy of one endpoint on loopback, and what asks it on the clock.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <functional>

#include "steering/policy.h"
#include "test/gateway/fake_dataplane.h"
#include "test/gateway/loopback.h"

namespace perigee::gateway::test {

inline Policy one_endpoint(std::uint16_t port) {
  Policy policy;
  policy.pops = {{"syd", id_from_name<PopId>("syd"), {}, {}}};
  Policy::Endpoint endpoint;
  endpoint.name = "one";
  endpoint.id = id_from_name<EndpointId>("one");
  endpoint.address = IpAddress::v4(127, 0, 0, 1);
  endpoint.port = port;
  policy.endpoints = {endpoint};
  return policy;
}

class OneEndpointTest : public testing::Test {
 protected:
  bool run_until(const std::function<bool()>& done) {
    for (int turns = 0; !done() && turns < 4000; ++turns) io_.run_one_for(std::chrono::milliseconds(5));
    return done();
  }

  Lines lines_;
  Log log_ = lines_.log();
  boost::asio::io_context io_;
};

}  // namespace perigee::gateway::test
