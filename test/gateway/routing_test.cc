// What passes between the control side and the router about the load of engines.
#include "gateway/routing.h"

#include <gtest/gtest.h>

#include "steering/policy_yaml.h"
#include "test/gateway/fake_dataplane.h"
#include "test/gateway/loopback.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const Policy> policy_with(const std::string& load) {
  std::string routed = kRouted;
  routed.replace(routed.find("203.0.113.11:80"), 15, "127.0.0.1:" + std::to_string(closed_port()));
  return std::make_shared<const Policy>(parse_policy(policy_text(routed) + load, "test.yaml").value());
}

TEST(RoutingTest, LoadsReachTheirEndpointsAndComeBack) {
  Lines lines;
  const Log log = lines.log();
  RouterRouting routing(log);
  const auto policy = policy_with("load: {metrics: /metrics, orca: true}\n");
  const Instant now = monotonic_now();
  const EngineLoad load{.taken = now, .waiting = 3, .kv_use = 0.5};
  const auto seen = [&](const Policy& of) {
    std::vector<EndpointLoad> loads(of.endpoints.size());
    routing.add_reports(of, now, loads);
    return loads;
  };
  routing.take_load(policy->endpoints[1], load, {});
  EXPECT_FALSE(seen(*policy)[1].load) << "there is no router yet";
  ASSERT_EQ(routing.prepare(policy, router::load_endpoint_access(*policy)), std::vector<std::string>{});
  routing.follow(policy, Route{}, {});
  routing.take_load(policy->endpoints[1], load, {});
  EXPECT_EQ(seen(*policy)[1].load, load);
  EXPECT_FALSE(seen(*policy)[0].load);
  Policy::Endpoint moved = policy->endpoints[0];
  ++moved.port;
  routing.take_load(moved, load, {});
  EXPECT_FALSE(seen(*policy)[0].load) << "of another place, as a policy to come has it";
  Policy other = *policy;
  other.endpoints[1].load.orca = false;
  EXPECT_FALSE(seen(other)[1].load) << "its answers are not asked";
}

// So that an operator mends a policy once.
TEST(RoutingTest, AllThatIsWrongIsSaidAtOnce) {
  Lines lines;
  const Log log = lines.log();
  RouterRouting routing(log);
  auto policy = std::make_shared<Policy>(*policy_with(""));
  policy->endpoints[0].credential.file = "/nonexistent/token";
  policy->endpoints[1].tls = Policy::EndpointTls{"/nonexistent/ca", "a.example", true, "", ""};
  policy->keys_file = "/nonexistent/keys";
  const auto errors = routing.prepare(policy, router::load_endpoint_access(*policy));
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_EQ(errors[0].find("endpoints." + policy->endpoints[0].name + ".credential: /nonexistent/token: "),
            0U);
  EXPECT_EQ(errors[1].find("endpoints." + policy->endpoints[1].name + ".tls: /nonexistent/ca: "), 0U);
  EXPECT_EQ(errors[2].find("/nonexistent/keys: "), 0U);
  policy->listeners.clear();
  RouterRouting without(log);
  EXPECT_EQ(without.prepare(policy, router::load_endpoint_access(*policy)).size(), 2U) << "without a router";
}

}  // namespace
}  // namespace perigee::gateway::test
