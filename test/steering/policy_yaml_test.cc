// What a good policy is read as, and the bounds of what is read at all.
#include "steering/policy_yaml.h"

#include <gtest/gtest.h>

#include <fstream>

#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

std::string example() { return std::string(PERIGEE_SOURCE_DIR) + "/config/policy.yaml"; }

TEST(PolicyYaml, TheExampleIsReadAsItSays) {
  const PolicyResult result = load_policy(example());
  ASSERT_TRUE(result) << text_of(result.error());
  const Policy& policy = *result;
  EXPECT_EQ(policy.here().name, "syd");
  ASSERT_EQ(policy.links.size(), 3U);
  const Policy::Link& link = *policy.link("syd-mel-a");
  EXPECT_EQ(policy.pop_of(link).name, "mel");
  EXPECT_EQ(link.port, "link0");
  EXPECT_EQ(link.next_hop, link.peer);
  EXPECT_EQ(link.probe.interval, 100ms) << "the default";
  EXPECT_EQ(link.probe.rtt_floor, 1ms) << "the override";
  EXPECT_EQ(policy.onward(*policy.link("syd-mel-b"), 2), Nanos(30ms));
  EXPECT_EQ(policy.onward(*policy.link("syd-mel-b"), 1), Nanos(0));
  EXPECT_FALSE(policy.onward(link, 2));
  const Policy::Endpoint& endpoint = *policy.endpoint("mel-1");
  EXPECT_EQ(endpoint.address, IpAddress::v4(10, 2, 1, 1));
  EXPECT_EQ(endpoint.port, 8000);
  EXPECT_EQ(endpoint.capacity, 256U);
  EXPECT_FALSE(policy.endpoint("mel-2")->capacity);
  EXPECT_EQ(policy.endpoint("per-1")->health.interval, 2s);
  EXPECT_EQ(policy.endpoint("per-1")->health.path, "/health");
  const Policy::Service& chat = *policy.service("chat");
  EXPECT_EQ(chat.endpoints, (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(chat.max_rtt, Nanos(150ms));
  const Policy::Service& status = *policy.service("status");
  EXPECT_EQ(status.deliver, table::Deliver::host);
  EXPECT_EQ(status.port, 0);
  EXPECT_EQ(status.protocol, Policy::Protocol::any);
  EXPECT_EQ(policy.snat_share_percent, 25U);
}

// The comments of the example promise that what it shows are the defaults.
TEST(PolicyYaml, TheExampleShowsTheDefaults) {
  const PolicyResult result = load_policy(example());
  ASSERT_TRUE(result);
  EXPECT_EQ(result->steering, Policy::Steering{});
  EXPECT_EQ(result->flows, Policy::Flows{});
  EXPECT_EQ(result->admin, Policy::Admin{});
  Policy::Router router = result->router;
  router.classes.resize(1);  // the others are there to show what a class is
  EXPECT_EQ(router, Policy::Router{});
  EXPECT_EQ(result->listeners.at(0).limits, Policy::Listener::Limits{});
  EXPECT_EQ(result->routed.at(0).models.at(0).timeouts, Policy::Model::Timeouts{});
  EXPECT_EQ(result->endpoints[1].health, Policy::Health{});  // mel-1 is checked by https
  EXPECT_EQ(result->link("syd-per")->probe, Policy::Probe{});
  EXPECT_EQ(result->reflect_rate, Policy{}.reflect_rate);
}

TEST(PolicyYaml, EveryConstantIsRead) {
  const Policy policy = policy_from(
      std::string(kWorldPolicy) +
      "steering: {tick: 20ms, window: 2s, hysteresis: {relative: 20%, absolute: 2ms}, "
      "band: {relative: 1%, absolute: 50us}, dwell: 5, hold: 3s, min_samples: 7, maximum_paths: 2, "
      "loss: {ignore: 2%, penalty: 3ms}}\n"
      "flows: {tcp_idle: 2h, tcp_closing: 3m, tcp_opening: 4s, udp_idle: 5s, "
      "path_gone: 6s, refuse_rate: 7, drain_deadline: 8s}\n"
      "admin: {listen: 0.0.0.0:80, socket: /tmp/s}\n"
      "probe: {interval: 20ms, detect: 4, ports: 2, udp_port: 9, min_ttl: 254, "
      "rtt_floor: 3us, max_residence: 1ms, loss_deadline: 2s, up_count: 3, "
      "reflect_rate: 11}\n");
  Policy::Steering steering;
  steering.tick = 20ms;
  steering.window = 2s;
  steering.hysteresis_relative = 0.2;
  steering.hysteresis_absolute = 2ms;
  steering.band_relative = 0.01;
  steering.band_absolute = 50us;
  steering.dwell = 5;
  steering.hold = 3s;
  steering.min_samples = 7;
  steering.maximum_paths = 2;
  steering.loss_ignored = 0.02;
  steering.loss_penalty = 3ms;
  EXPECT_EQ(policy.steering, steering);
  EXPECT_EQ(policy.flows, (Policy::Flows{2h, 3min, 4s, 5s, 6s, 7, 8s}));
  EXPECT_EQ(policy.admin, (Policy::Admin{IpAddress::v4(0), 80, "/tmp/s"}));
  EXPECT_EQ(policy.links[0].probe, (Policy::Probe{20ms, 4, 2, 9, 254, 3us, 1ms, 2s, 3}));
  EXPECT_EQ(policy.reflect_rate, 11U);
}

TEST(PolicyYaml, SelectsEndpointsByLabels) {
  const Policy policy = policy_from(replaced(
      replaced(replaced(kWorldPolicy, "10.2.1.2:8000", "10.2.1.2:8000, labels: {gpu: h100, tier: gold}"),
               "10.3.1.1:8000", "10.3.1.1:8000, labels: {gpu: h100}"),
      "[mel-1, mel-2, per-1]", "{labels: {gpu: h100}}"));
  EXPECT_EQ(policy.services[0].endpoints, (std::vector<std::size_t>{1, 2}));
}

TEST(PolicyYaml, NullAndNoneAreNothing) {
  const Policy policy = policy_from(replaced(kWorldPolicy, "port: link0,", "port: link0, mac: null,"));
  EXPECT_TRUE(policy.links[0].mac.none());
  EXPECT_TRUE(policy.interfaces[1].gateway.none());
}

TEST(PolicyYaml, AFileTooLargeIsRefusedUnread) {
  const std::string text = std::string(kWorldPolicy) + std::string(kMaxPolicyOctets, '#');
  const PolicyResult result = parse_policy(text, "big.yaml");
  ASSERT_FALSE(result);
  EXPECT_EQ(text_of(result.error()),
            "big.yaml:1:1: policy: is larger than 1048576 octets; a policy is a small file\n");
}

TEST(PolicyYaml, ManyErrorsAreCountedNotAllShown) {
  std::string text(kWorldPolicy);
  for (int i = 0; i < 150; ++i) text += "key" + std::to_string(i) + ": 1\n";
  const PolicyResult result = parse_policy(text, "many.yaml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().size(), 101U);
  EXPECT_EQ(result.error().back().what, "policy: 50 more errors are not shown; correct those above first");
}

TEST(PolicyYaml, LimitsOfTheTableAreLimitsOfThePolicy) {
  std::string endpoints;
  std::string names;
  for (int i = 0; i < 65; ++i) {
    endpoints += "  x" + std::to_string(i) + ": {pop: mel, address: 10.2.9." + std::to_string(i) + ":8000}\n";
    names += "x" + std::to_string(i) + ", ";
  }
  const PolicyResult result =
      parse_policy(replaced(replaced(kWorldPolicy, "  mel-1:", endpoints + "  mel-1:"),
                            "[mel-1, mel-2, per-1]", "[" + names + "mel-1]"),
                   "p.yaml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().at(0).what, "services.chat.endpoints: 66 endpoints are too many; at most 64");
  std::string links;
  for (int i = 0; i < 70; ++i)
    links += "  y" + std::to_string(i) + ": {pop: mel, port: z" + std::to_string(i) + ", local: 172.30." +
             std::to_string(i) + ".1, peer: 172.30." + std::to_string(i) + ".2}\n";
  const PolicyResult many = parse_policy(replaced(kWorldPolicy, "  a: {", links + "  a: {"), "p.yaml");
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().at(0).what, "links: 73 entries are too many; at most 64");
}

TEST(PolicyYaml, AHostileFileIsReadInLittleTime) {
  // Each would take minutes if any step were quadratic; the suite's time limit is the assertion.
  std::string names = "version: 1\npops:\n";
  for (int i = 0; i < 20'000; ++i) names += " p" + std::to_string(i) + ": {}\n";
  EXPECT_FALSE(parse_policy(names, "x"));
  std::string keys;
  for (int i = 0; i < 20'000; ++i) keys += "k" + std::to_string(i) + ": 1\n";
  EXPECT_FALSE(parse_policy(keys, "x"));
  EXPECT_FALSE(parse_policy(std::string(200'000, '['), "x"));
}

TEST(PolicyYaml, FilesThatAreNoFiles) {
  EXPECT_EQ(text_of(load_policy("/nonexistent/policy.yaml").error()).find("/nonexistent/policy.yaml: "), 0U);
  EXPECT_EQ(text_of(load_policy("/tmp").error()), "/tmp: is not a regular file\n");
}

}  // namespace
}  // namespace perigee
