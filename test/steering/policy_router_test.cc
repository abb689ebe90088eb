// What the sections of a policy that concern the router are read as.
#include <gmock/gmock.h>

#include "test/steering/routed_world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

TEST(PolicyRouter, EveryKeyOfAListenerIsRead) {
  const Policy policy = policy_from(replaced(
      kRoutedPolicy, "public: {address: 203.0.113.20:443}",
      "public: {address: '[2001:db8::1]:8443', tls: {certificates: [{chain: /a, key: /b}, {chain: /c, key: "
      "/d}], "
      "client_ca: /e, client_certificate: optional}, proxy_protocol: {require: true, from: [192.0.2.0/24, "
      "2001:db8::/32]}, limits: {header_octets: 8KiB, header_fields: 50, header_time: 1s, handshake_time: "
      "2s, "
      "keep_alive: 3s, connections: 10, connections_per_source: 5, body_octets: 1MiB, body_grace: 6s, "
      "min_body_rate: 1KiB, "
      "write_stall: 4s}, diagnostics: true, extension_headers_from: [192.0.2.0/25, 2001:db8::/32]}"));
  ASSERT_EQ(policy.listeners.size(), 1U);
  const Policy::Listener& listener = policy.listeners[0];
  EXPECT_EQ(listener.address, IpAddress::parse("2001:db8::1"));
  EXPECT_EQ(listener.port, 8443);
  ASSERT_TRUE(listener.tls);
  EXPECT_EQ(listener.tls->certificates,
            (std::vector<Policy::Listener::Certificate>{{"/a", "/b"}, {"/c", "/d"}}));
  EXPECT_EQ(listener.tls->client_ca, "/e");
  EXPECT_EQ(listener.tls->client_certificate, Policy::Listener::ClientCertificate::optional);
  EXPECT_TRUE(listener.proxy_protocol.require);
  EXPECT_EQ(listener.proxy_protocol.from.size(), 2U);
  EXPECT_EQ(listener.limits,
            (Policy::Listener::Limits{8192, 50, 1s, 2s, 3s, 10, 5, 1U << 20U, 6s, 1024, 4s}));
  EXPECT_TRUE(listener.diagnostics);
  EXPECT_EQ(listener.extension_headers_from.size(), 2U);
}

TEST(PolicyRouter, EveryConstantIsRead) {
  const Policy policy = policy_from(
      std::string(kRoutedPolicy) +
      "router: {threads: 2, body_hold: 2MiB, held_octets: 8MiB, retries: 1, retry_budget: 10%, retry_min: 7, "
      "pool_idle: 3s, breaker: {failures: 4, window: 20s, open: 5s, successes: 3}, slow_start: 0ms, "
      "choice: {draw: 3, spill_margin: 5ms, equal: 1.5%, affinity_margin: 7ms, refresh_after: 9s, "
      "refresh_one_in: 11}, service: {fixed: 20ms, tokens_per_second: 5000}, decision_log: /d, "
      "drain_deadline: 1m, usage_records: {directory: /u, file_octets: 8KiB, octets: 64KiB}}\n");
  EXPECT_EQ(policy.router, (Policy::Router{2,
                                           2U << 20U,
                                           8U << 20U,
                                           1,
                                           0.1,
                                           7,
                                           3s,
                                           {4, 20s, 5s, 3},
                                           {{"", {3, 5ms, 15'000, 100us, 7ms, 9s, 11}}},
                                           {20ms, 200'000},
                                           0s,
                                           60s,
                                           "none",
                                           "/d",
                                           {"/u", 8192, 65536}}));
}

TEST(PolicyRouter, ARoutedServiceIsReadAsItSays) {
  const Policy policy = policy_from(kRoutedPolicy);
  EXPECT_EQ(policy.regions, (std::vector<std::string>{"au", "eu"}));
  EXPECT_EQ(policy.pops[2].region, 1U);
  EXPECT_EQ(policy.keys_file, "/etc/perigee/keys.yaml");
  EXPECT_EQ(policy.service("ai"), nullptr) << "the data plane knows nothing of it";
  const Policy::RoutedService* service = policy.routed_service("ai");
  ASSERT_NE(service, nullptr);
  EXPECT_TRUE(service->require_key);
  EXPECT_EQ(service->listeners, (std::vector<std::size_t>{0}));
  EXPECT_EQ(service->residency, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(service->max_rtt, Nanos(200ms));
  EXPECT_EQ(service->max_in_flight, 64U);
  EXPECT_EQ(service->queue, (Policy::RoutedService::Queue{7, 2s}));
  EXPECT_EQ(service->limits, (RequestLimits{600, 90'000, 30, {false, true, false}}));
  ASSERT_EQ(service->models.size(), 2U);
  const Policy::Model& llama = service->models[0];
  EXPECT_EQ(service->model("llama-3.1"), &llama);
  EXPECT_EQ(service->model("llama"), &llama) << "an alias";
  EXPECT_EQ(service->model("lama"), nullptr);
  EXPECT_EQ(llama.pool.served_name, "meta/llama");
  EXPECT_EQ(llama.pool.endpoints, (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(llama.pool.weights, (std::vector<std::uint32_t>{100, 50, 20}));
  EXPECT_EQ(llama.timeouts, (Policy::Model::Timeouts{1s, 90s, 30s, 30min}));
  ASSERT_TRUE(llama.canary);
  EXPECT_EQ(llama.canary->per_10000, 500U);
  EXPECT_EQ(llama.canary->pool.endpoints, (std::vector<std::size_t>{2}));
  EXPECT_EQ(llama.canary->pool.served_name, "meta/llama");
  EXPECT_EQ(llama.sse_keep_alive, Nanos(15s));
  const Policy::Model& phi = service->models[1];
  EXPECT_EQ(phi.sse_keep_alive, Nanos(0)) << "off, unless asked for";
  EXPECT_EQ(phi.pool.endpoints, (std::vector<std::size_t>{1})) << "that lists it under \"serves\"";
  EXPECT_EQ(phi.pool.served_name, "phi");
  EXPECT_NE(phi.pool.id, llama.pool.id);
}

TEST(PolicyRouter, AClassChangesWhatItNames) {
  using namespace std::chrono_literals;
  const std::string text = replaced(kRoutedPolicy, "phi: {}", "phi: {class: batch}") +
                           "router: {choice: {draw: 3, spill_margin: 5ms}, "
                           "classes: {chat: {}, batch: {spill_margin: 90ms, equal: 1%}}}\n";
  const Policy policy = policy_from(text);
  ASSERT_EQ(policy.router.classes.size(), 3U);
  const std::size_t of_phi = policy.routed_service("ai")->model("phi")->request_class;
  EXPECT_EQ(policy.router.classes[of_phi].name, "batch");
  ChoiceLaw batch;
  batch.choices = 3;
  batch.spill_margin = 90ms;
  batch.equal_ppm = 10'000;
  EXPECT_EQ(policy.router.classes[of_phi].choice, batch) << "the rest as router.choice has it";
  EXPECT_EQ(policy.routed_service("ai")->model("llama")->request_class, 0U);
  EXPECT_FALSE(policy.router.classes[of_phi].hedge) << "off, unless asked for";
  const auto hedge = [&](std::string_view keys) {
    return policy_from(replaced(text, "equal: 1%", "equal: 1%, hedge: " + std::string(keys)))
        .router.classes[of_phi]
        .hedge;
  };
  EXPECT_EQ(hedge("{share: 1.5%, samples: 50}"), (HedgeLaw{15'000, 50}));
  EXPECT_EQ(hedge(""), (HedgeLaw{20'000, 200}));
  const PolicyResult wrong = parse_policy(replaced(text, "class: batch", "class: bach"), "p.yaml");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(text_of(wrong.error()), testing::HasSubstr("services.ai.models.phi.class: no class is named "
                                                         "\"bach\"; did you mean \"batch\"?"));
}

TEST(PolicyRouter, AnEndpointsTlsAndCredentialAreRead) {
  const Policy policy = policy_from(
      replaced(replaced(kRoutedPolicy, "10.3.1.1:8000",
                        "10.3.1.1:8000, discover: /v1/models, tls: , credential: {environment: PER_TOKEN}"),
               "10.2.1.1:8000",
               "10.2.1.1:8000, credential: {file: /run/token}, tls: {ca: /ca, name: gpu.example, "
               "certificate: /c, key: /k}"));
  EXPECT_EQ(policy.endpoint("mel-1")->tls, (Policy::EndpointTls{"/ca", "gpu.example", true, "/c", "/k"}));
  EXPECT_EQ(policy.endpoint("mel-1")->credential.file, "/run/token");
  EXPECT_FALSE(policy.endpoint("mel-2")->tls);
  EXPECT_TRUE(policy.endpoint("mel-2")->credential.none());
  EXPECT_EQ(policy.endpoint("per-1")->discover, "/v1/models");
  EXPECT_EQ(policy.endpoint("mel-2")->discover, "");
  EXPECT_EQ(policy.endpoint("per-1")->tls, (Policy::EndpointTls{"", "10.3.1.1", true, "", ""}))
      << "verified, by its address, against the system's CAs";
  EXPECT_EQ(policy.endpoint("per-1")->credential.environment, "PER_TOKEN");
}

TEST(PolicyRouter, LoadHasDefaultsOfAllEndpoints) {
  using namespace std::chrono_literals;
  const std::string own =
      replaced(kRoutedPolicy, "10.3.1.1:8000", "10.3.1.1:8000, load: {metrics: /v1/metrics, port: 8002}");
  Policy policy = policy_from(own);
  EXPECT_EQ(policy.endpoint("per-1")->load, (Policy::Load{"/v1/metrics", 250ms, false, 8002}));
  EXPECT_EQ(policy.endpoint("mel-1")->load, (Policy::Load{"", 250ms, false, 0})) << "not asked";
  policy = policy_from("load: {metrics: /metrics, interval: 50ms, orca: true}\n" +
                       replaced(own, "10.2.1.1:8000", "10.2.1.1:8000, load: {metrics: none, interval: 60s}"));
  EXPECT_EQ(policy.endpoint("per-1")->load, (Policy::Load{"/v1/metrics", 50ms, true, 8002}));
  EXPECT_EQ(policy.endpoint("mel-1")->load, (Policy::Load{"", 60s, true, 0}));
  EXPECT_EQ(policy.endpoint("mel-2")->load, (Policy::Load{"/metrics", 50ms, true, 0}));
}

TEST(PolicyRouter, LabelsSelectOnlyThoseThatServeTheModel) {
  std::string text =
      replaced(kRoutedPolicy, "10.2.1.1:8000", "10.2.1.1:8000, labels: {gpu: h}, serves: [meta/llama]");
  text = replaced(text, "weight: 50,", "weight: 50, labels: {gpu: h},");
  const Policy policy = policy_from(replaced(text, "phi: {}", "phi: {endpoints: {labels: {gpu: h}}}"));
  EXPECT_EQ(policy.routed_service("ai")->model("phi")->pool.endpoints, (std::vector<std::size_t>{1}));
}

TEST(PolicyRouter, ACanaryMayBeAnotherNameAtTheSameEndpoints) {
  const Policy policy = policy_from(
      replaced(kRoutedPolicy, "phi: {}", "phi: {canary: {percent: 100%, served_name: meta/llama}}"));
  const Policy::Model* phi = policy.routed_service("ai")->model("phi");
  ASSERT_TRUE(phi->canary);
  EXPECT_EQ(phi->canary->pool.endpoints, phi->pool.endpoints);
  EXPECT_EQ(phi->canary->pool.served_name, "meta/llama");
  EXPECT_EQ(phi->canary->per_10000, 10'000U);
}

}  // namespace
}  // namespace perigee
