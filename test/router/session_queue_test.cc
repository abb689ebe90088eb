// A service with max_in_flight: who waits, who is next, who is sent away.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "router/keys.h"
#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kSecret = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

struct SessionQueueTest : RouterLab {
  // One place. The endpoint answers one request for each release().
  void begin_queue(const std::string& queue) {
    endpoint = std::make_unique<ScriptedEndpoint>([this](Peer& peer) {
      for (std::string asked = peer.read_message(); !asked.empty(); asked = peer.read_message()) {
        std::unique_lock lock(mutex);
        order.push_back(asked.substr(asked.find("\"user\":") + 7, 3));
        more.notify_all();
        more.wait_for(lock, std::chrono::seconds(10), [&] { return released > 0; });
        --released;
        lock.unlock();
        peer.send(json_answer("{}"));
      }
    });
    const Digest digest = sha256(kSecret);
    std::string hex;
    for (const unsigned char octet : digest) {
      hex += "0123456789abcdef"[octet >> 4U];
      hex += "0123456789abcdef"[octet & 15U];
    }
    const std::string keys = testing::TempDir() + "queue_keys.yaml";
    std::ofstream(keys) << "keys:\n  high: {sha256: " << hex
                        << ", tenant: t, priority: high}\n  low: {sha256: " << hex
                        << ", tenant: t, priority: low}\n";
    ::chmod(keys.c_str(), 0600);
    more_service = "    max_in_flight: 1\n    queue: " + queue + "\n";
    more_policy = "keys: {file: " + keys + "}\n";
    begin({endpoint->port()});
  }
  void TearDown() override {
    release(100);
    router.reset();
  }
  void release(int count = 1) {
    const std::lock_guard lock(mutex);
    released += count;
    more.notify_all();
  }
  void wait_asked(std::size_t count) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(more.wait_for(lock, std::chrono::seconds(10), [&] { return order.size() >= count; }));
  }
  std::unique_ptr<Peer> ask_as(const std::string& user, const std::string& key = "") const {
    auto peer = client();
    const std::string body = R"({"model":"m","user":)" + user + "}";
    peer->send(
        chat(body, key.empty() ? "" : "Authorization: Bearer " + key + "." + std::string(kSecret) + "\r\n"));
    return peer;
  }
  [[nodiscard]] Gate& gate() const { return *router->snapshot()->services[0].gate; }
  void wait_depth(std::size_t depth) const {
    eventually([&] {
      std::size_t sum = 0;
      for (const std::size_t each : gate().depths()) sum += each;
      return sum == depth;
    });
  }

  std::mutex mutex;
  std::condition_variable more;
  std::vector<std::string> order;
  int released = 0;
  std::unique_ptr<ScriptedEndpoint> endpoint;
};

TEST_F(SessionQueueTest, WaitsForAPlaceByPriority) {
  begin_queue("{size: 10, time: 1m}");
  const auto first = ask_as("111");
  wait_asked(1);
  const auto low = ask_as("222", "low");
  wait_depth(1);
  const auto normal = ask_as("333");
  wait_depth(2);
  const auto high = ask_as("444", "high");
  wait_depth(3);
  EXPECT_EQ(endpoint->connections(), 1) << "one at a time";
  release(4);
  for (const auto& peer : {&first, &low, &normal, &high})
    EXPECT_THAT((*peer)->read_message(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(order, (std::vector<std::string>{"111", "444", "333", "222"}));
  EXPECT_LT(records.wait(1).queued, Nanos(0));
  EXPECT_GE(records.wait(4).queued, Nanos(0));
  expect_nothing_held();
  eventually([&] { return gate().in_flight() == 0; });
}

TEST_F(SessionQueueTest, AFullQueueShedsAndSaysWhenToTryAgain) {
  begin_queue("{size: 1, time: 1m}");
  const auto first = ask_as("111");
  wait_asked(1);
  const auto low = ask_as("222", "low");
  wait_depth(1);
  const std::string other = ask_as("333", "low")->read_message();
  EXPECT_THAT(other, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(other, HasSubstr("queue_full"));
  EXPECT_THAT(other, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_EQ(records.wait(1).ending, Ending::shed);
  const auto high = ask_as("444", "high");
  EXPECT_THAT(low->read_message(), HasSubstr("evicted"));
  release(2);
  EXPECT_THAT(high->read_message(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(gate().sheds(Shed::full), 1U);
  EXPECT_EQ(gate().sheds(Shed::evicted), 1U);
}

TEST_F(SessionQueueTest, NobodyWaitsLongerThanTheTime) {
  begin_queue("{size: 10, time: 30ms}");
  const auto first = ask_as("111");
  wait_asked(1);
  const std::string answer = ask_as("222")->read_message();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("queue_time"));
  EXPECT_THAT(answer, HasSubstr("retry-after-ms: 1000\r\n"));
  EXPECT_EQ(gate().sheds(Shed::late), 1U);
  wait_depth(0);
}

TEST_F(SessionQueueTest, AClientThatGoesLeavesTheQueue) {
  begin_queue("{size: 10, time: 1m}");
  const auto first = ask_as("111");
  wait_asked(1);
  const auto second = ask_as("222");
  wait_depth(1);
  second->reset();
  wait_depth(0);
  EXPECT_EQ(records.wait(1).ending, Ending::client_gone);
  release();
  EXPECT_THAT(first->read_message(), StartsWith("HTTP/1.1 200 "));
  eventually([&] { return gate().in_flight() == 0; });
  EXPECT_EQ(order.size(), 1U);
}

TEST_F(SessionQueueTest, AReloadKeepsWhoIsInside) {
  begin_queue("{size: 10, time: 1m}");
  const auto first = ask_as("111");
  wait_asked(1);
  const auto second = ask_as("222");
  wait_depth(1);
  Policy wider = policy;
  wider.routed[0].max_in_flight = 2;
  const auto next = std::make_shared<const Policy>(wider);
  const Instant now = monotonic_now();
  ASSERT_TRUE(router->prepare(next, now).empty());
  EXPECT_EQ(gate().in_flight(), 1U) << "nothing changes before it is published";
  router->publish(next, route(wider, Conditions{}, Route{}, now), now);
  wait_asked(2);
  EXPECT_EQ(gate().in_flight(), 2U);
}

}  // namespace
}  // namespace perigee::router
