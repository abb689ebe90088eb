#include "gateway/switch_log.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>

#include "steering/policy_yaml.h"
#include "test/gateway/fake_dataplane.h"

namespace perigee::gateway {
namespace {

std::string text_of(const std::vector<RouteEvent>& events) {
  std::string out;
  for (const RouteEvent& event : events)
    out += std::string(event.level == LogLevel::error ? "error " : "info ") + event.name + " " +
           boost::json::serialize(event.fields) + "\n";
  return out;
}

TEST(RouteEvents, TellOfWhatBeginsAndEnds) {
  const Policy policy = parse_policy(test::policy_text(), "test.yaml").value();
  Route calm;
  calm.services.push_back({policy.services.at(0).id, {}, {}, {}});
  Route bad = calm;
  bad.frozen = Frozen::checks;
  bad.services[0].panic = true;
  bad.services[0].healthy = 0.25;
  EXPECT_EQ(text_of(route_events(policy, calm, calm)), "");
  EXPECT_EQ(text_of(route_events(policy, bad, bad)), "");
  EXPECT_EQ(text_of(route_events(policy, calm, bad)),
            "error steering_frozen {\"reason\":\"checks\"}\n"
            "error service_panic {\"service\":\"chat\",\"healthy_ratio\":2.5E-1}\n");
  EXPECT_EQ(text_of(route_events(policy, bad, calm)),
            "info steering_thawed {\"was\":\"checks\"}\n"
            "info service_panic_over {\"service\":\"chat\",\"healthy_ratio\":1E0}\n");
}

TEST(RouteEvents, NameTheLinksThatShareFlows) {
  Policy policy = parse_policy(test::policy_text(), "test.yaml").value();
  ASSERT_GE(policy.links.size(), 2U);
  policy.steering.maximum_paths = 2;
  Route apart;
  apart.pops.push_back({policy.pop_of(policy.links[0]).id, {}, {}});
  for (std::size_t i = 0; i < 2; ++i)
    apart.pops[0].ranking.paths.emplace_back().path = {apart.pops[0].id, policy.links[i].id};
  Route shared = apart;
  shared.pops[0].equal.push_back({policy.links[1].id, 0, true});
  const std::string start =
      "info links_shared {\"pop\":\"" + policy.pop_of(policy.links[0]).name + "\",\"links\":[";
  EXPECT_EQ(text_of(route_events(policy, apart, shared)),
            start + "\"" + policy.links[0].name + "\",\"" + policy.links[1].name + "\"]}\n");
  EXPECT_EQ(text_of(route_events(policy, shared, shared)), "");
  EXPECT_EQ(text_of(route_events(policy, shared, apart)), start + "]}\n");
}

}  // namespace
}  // namespace perigee::gateway
