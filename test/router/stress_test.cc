// Thousands of requests through a router of several threads, plain and with TLS, by clients and to endpoints
// that fail in every phase, while the policy changes. In the end nothing is left of them: no descriptor, no
// permit, no octet. Made for the sanitizers; PERIGEE_STRESS_REQUESTS sets how many there are.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "router/breaker.h"
#include "router/keys.h"
#include "test/router/certificates.h"
#include "test/router/stress_client.h"

namespace perigee::router {
namespace {

constexpr int kDefaultRequests = 2000;
constexpr unsigned kClients = 32;
constexpr int kThreads = 3;
constexpr unsigned kPerSource = 120;  // more than the clients ever have at once
constexpr std::string_view kSecret = "AbCdEfGhIjKlMnOpQrStUv";

int open_descriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// How many requests ended in which way.
class Endings : public RecordSink {
 public:
  void take(const RequestRecord& record) override { ++counts_[static_cast<std::size_t>(record.ending)]; }
  [[nodiscard]] int of(Ending ending) const { return counts_[static_cast<std::size_t>(ending)]; }

 private:
  std::array<std::atomic<int>, static_cast<std::size_t>(Ending::count_)> counts_{};
};

struct StressTest : RouterLab {
  StressTest() {
    SSL_CTX_use_certificate_chain_file(endpoint_tls, certificate.chain.c_str());
    SSL_CTX_use_PrivateKey_file(endpoint_tls, certificate.key.c_str(), SSL_FILETYPE_PEM);
    std::ofstream file(keys_file());
    ::chmod(keys_file().c_str(), 0600);
    file << "keys:\n";
    for (const std::string_view limits :
         {"concurrency: 1000", "concurrency: 4", "rpm: 1000000, tpm: 100000"}) {
      const std::string id = "key" + std::to_string(keys.size());
      file << "  " << id << ": {sha256: ";
      for (const unsigned char octet : sha256(kSecret)) {
        std::array<char, 3> hex{};
        std::snprintf(hex.data(), hex.size(), "%02x", octet);
        file << hex.data();
      }
      file << ", tenant: t, " << limits << "}\n";
      keys.push_back(id + "." + std::string(kSecret));
    }
  }
  ~StressTest() override {
    SSL_CTX_free(endpoint_tls);
    SSL_CTX_free(client_tls);
  }

  [[nodiscard]] std::string keys_file() const { return issuer.directory() / "keys.yaml"; }

  // Four of them: as it begins; with other times; without the last endpoint and with the third one drained;
  // without the last door.
  // `only`: the one endpoint that serves the model; 0: all.
  [[nodiscard]] std::string text(unsigned variant, std::size_t only = 0) const {
    std::string text =
        "version: 1\npop: here\npops: {here: {prefixes: [10.0.0.0/8]}}\n"
        "interfaces: {local: {port: local0, address: 10.0.0.2/8}}\nendpoints:\n";
    const std::size_t count = variant == 2 ? 3 : 4;
    std::string names;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = "e" + std::to_string(i + 1);
      names += (i > 0 ? ", " : "") + name;
      text += "  " + name + ": {pop: here, address: 10.0.0.1:" + std::to_string(endpoints[i]->port()) +
              ", health: {type: none}";
      if (i % 2 == 1) text += ", tls: {ca: " + issuer.file() + ", name: api.example}";
      if (variant == 2 && i == 2) text += ", drain: true";
      text += "}\n";
    }
    if (only > 0) names = "e" + std::to_string(only);
    text += "listeners:\n";
    std::string served;
    for (std::size_t i = 0; i < (variant == 3 ? 2U : 3U); ++i) {
      served += (i > 0 ? ", d" : "d") + std::to_string(i);
      text += "  d" + std::to_string(i) + ": {address: 127.0.0.1:" + std::to_string(doors[i].port);
      if (doors[i].tls)
        text += ", tls: {certificates: [{chain: " + certificate.chain + ", key: " + certificate.key + "}]}";
      text +=
          ", limits: {header_time: 300ms, handshake_time: 300ms, body_grace: 300ms, write_stall: 200ms, "
          "keep_alive: 300ms, "
          "connections_per_source: " +
          std::to_string(kPerSource) + "}}\n";
    }
    const std::string time = variant == 1 ? "250ms" : "300ms";
    text +=
        "services:\n  ai:\n    mode: route\n    listeners: [" + served +
        "]\n    models:\n      m: {endpoints: [" + names + "], timeouts: {connect: " + time +
        ", first_event: " + time + ", idle: " + time + ", total: 3s}}\n" +
        "router: {body_hold: 64KiB, retry_min: 20, pool_idle: 300ms, slow_start: 0ms, breaker: {failures: 5, "
        "open: 50ms}}\nkeys: {file: " +
        keys_file() + "}\n";
    return text;
  }

  void publish(unsigned variant, std::size_t only = 0) {
    const auto next = std::make_shared<const Policy>(policy_of(text(variant, only)));
    const Instant now = monotonic_now();
    const auto errors = router->prepare(next, now);
    ASSERT_TRUE(errors.empty()) << text_of(errors);
    router->publish(next, route(*next, Conditions{}, Route{}, now), now);
    for (const auto& endpoint : router->snapshot()->endpoints) counters.insert(endpoint.counters);
  }

  // All clients to their end, the policy changing meanwhile.
  void run_clients() {
    std::vector<std::thread> threads;
    std::atomic<unsigned> busy = kClients;
    std::vector<std::string> callers = keys;
    callers.emplace_back();  // who has no key
    for (unsigned i = 0; i < kClients; ++i) {
      threads.emplace_back([this, &busy, callers, i] {
        StressClient(tally, {doors.begin(), doors.end()}, callers, client_tls, i).run();
        --busy;
      });
    }
    for (unsigned round = 1; busy > 0; ++round) {
      publish(round % 4);
      rest(20);
    }
    for (std::thread& thread : threads) thread.join();
    publish(0);
  }

  void expect_nothing_left() {
    eventually([&] {
      const ThreadCounters now = router->thread_counters();
      return now.connections == 0 && now.greeting == 0;
    });
    expect_nothing_held();
    EXPECT_EQ(router->counters().retries.retrying, 0U);
    for (const auto& each : counters) EXPECT_EQ(each->in_flight, 0U);
    for (const std::string& key : keys)
      EXPECT_EQ(router->snapshot()->keys->find(key)->counters->in_flight, 0U);
  }

  // Every place that one source may have is there again.
  void expect_every_place_free() {
    std::vector<std::unique_ptr<Peer>> all;
    for (unsigned i = 0; i < kPerSource; ++i) all.push_back(Peer::connect(doors[0].port));
    eventually([&] { return router->thread_counters().connections == kPerSource; });
    all.clear();
    eventually([&] { return router->thread_counters().connections == 0; });
    for (const auto& [name, listener] : router->thread_counters().listeners) {
      EXPECT_EQ(listener.over_source_limit, 0U) << name;
      EXPECT_EQ(listener.out_of_descriptors, 0U) << name;
    }
  }

  // Every trial of a breaker was given back: all close once the endpoints are well.
  void expect_every_breaker_closes() {
    for (const auto& endpoint : endpoints) endpoint->calm();
    // One by one: while others cost less, one that was slow before need not be asked.
    for (std::size_t number = 1; number <= endpoints.size(); ++number) {
      publish(0, number);
      eventually([&] {
        const auto peer = Peer::connect(doors[0].port);
        peer->send(chat(kAsk));
        peer->read_message();
        const auto snapshot = router->snapshot();
        return breaker_state(snapshot->endpoints[number - 1].counters->breaker, monotonic_now()) ==
               BreakerState::closed;
      });
    }
    publish(0);
  }

  TestIssuer issuer{"test issuer"};
  CertificateFiles certificate = issuer.issue("DNS:api.example");
  SSL_CTX* endpoint_tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX* client_tls = SSL_CTX_new(TLS_client_method());
  std::vector<std::string> keys;
  std::array<StressDoor, 3> doors{StressDoor{ScriptedEndpoint::free_port(), false},
                                  StressDoor{ScriptedEndpoint::free_port(), true},
                                  StressDoor{ScriptedEndpoint::free_port(), true}};
  std::vector<std::unique_ptr<StressEndpoint>> endpoints;
  StressTally tally;
  Endings endings;
  std::set<std::shared_ptr<EndpointCounters>> counters;
};

TEST_F(StressTest, L7_05_NothingIsLeftOfThousandsOfRequestsThatFailedInEveryPhase) {
  const int before = open_descriptors();
  const char* asked = std::getenv("PERIGEE_STRESS_REQUESTS");
  tally.left = asked != nullptr ? std::atoi(asked) : kDefaultRequests;
  for (std::size_t i = 0; i < 4; ++i)
    endpoints.push_back(std::make_unique<StressEndpoint>(i % 2 == 1 ? endpoint_tls : nullptr));
  router = Router::create(std::vector<RecordSink*>(kThreads, &endings)).value();
  publish(0);
  run_clients();
  expect_nothing_left();
  expect_every_breaker_closes();
  expect_every_place_free();
  expect_nothing_left();
  router.reset();
  endpoints.clear();
  EXPECT_EQ(open_descriptors(), before);
  for (int i = 0; i < static_cast<int>(Ending::count_); ++i) {
    const auto ending = static_cast<Ending>(i);
    std::printf("%-16s %d\n", std::string(name_of(ending)).c_str(), endings.of(ending));
    const bool due =
        ending != Ending::drained && ending != Ending::no_endpoint && ending != Ending::answered_here;
    EXPECT_GE(endings.of(ending), due ? 1 : 0) << name_of(ending);
  }
  std::printf(
      "clients: %d whole (%d streams), %d errors, %d broken off, %d without an answer, %d not let in\n",
      tally.whole.load(), tally.events.load(), tally.errors.load(), tally.broken.load(), tally.silent.load(),
      tally.not_let_in.load());
  EXPECT_GT(tally.events, 0);
  EXPECT_GT(tally.whole, tally.events);
}

}  // namespace
}  // namespace perigee::router
