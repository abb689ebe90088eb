// A change of policy is taken whole, or not at all: what was loaded for one policy never serves another.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct ReloadTest : RouterLab {
  ReloadTest() : endpoint([this](Peer& peer) { answer(peer); }) { begin({endpoint.port()}); }
  ~ReloadTest() override {
    router.reset();
    std::filesystem::remove(file);
  }

  // Answers with the credential that it was asked with.
  static void answer(Peer& peer) {
    while (true) {
      const std::string asked = peer.read_message();
      if (asked.empty()) return;
      const auto at = asked.find("Bearer ");
      peer.send(
          json_answer(at == std::string::npos ? "none" : asked.substr(at, asked.find("\r\n", at) - at)));
    }
  }
  // The policy in force, with a credential.
  std::shared_ptr<const Policy> with(const std::string& token) {
    std::ofstream(file) << token << "\n";
    ::chmod(file.c_str(), 0600);
    Policy changed = policy;
    changed.endpoints[0].credential.file = file;
    return std::make_shared<const Policy>(changed);
  }
  void publish(const std::shared_ptr<const Policy>& next) {
    const Instant now = monotonic_now();
    EXPECT_TRUE(router->publish(next, route(*next, Conditions{}, Route{}, now), now).empty());
  }
  void publish_without_listeners() {
    Policy changed = policy;
    changed.listeners.clear();
    changed.routed.clear();
    const auto without = std::make_shared<const Policy>(changed);
    ASSERT_TRUE(router->prepare(without, monotonic_now()).empty());
    publish(without);
  }
  std::string asked_with() const { return ask(chat(kAsk)); }

  const std::string file = testing::TempDir() + "perigee-credential-" + std::to_string(::getpid());
  ScriptedEndpoint endpoint;
};

TEST_F(ReloadTest, WhatWasPreparedServesItsOwnPolicyOnly) {
  const auto next = with("one");
  ASSERT_TRUE(router->prepare(next, monotonic_now()).empty());
  publish(in_force);  // the change was given up
  EXPECT_THAT(asked_with(), HasSubstr("none"));
  EXPECT_FALSE(router->ready_for(next));
}

TEST_F(ReloadTest, AChangeIsTakenBackWithoutItsFiles) {
  const auto first = with("one");
  ASSERT_TRUE(router->prepare(first, monotonic_now()).empty());
  publish(first);
  EXPECT_THAT(asked_with(), HasSubstr("Bearer one"));
  const auto second = with("two");
  ASSERT_TRUE(router->prepare(second, monotonic_now()).empty());
  publish(second);
  EXPECT_THAT(asked_with(), HasSubstr("Bearer two"));
  std::filesystem::remove(file);
  publish(first);
  EXPECT_THAT(asked_with(), HasSubstr("Bearer one"));
}

TEST_F(ReloadTest, AMissingFileChangesNothing) {
  const auto next = with("one");
  std::filesystem::remove(file);
  const auto errors = router->prepare(next, monotonic_now());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors[0].text(), HasSubstr(file));
  publish(in_force);
  EXPECT_THAT(asked_with(), HasSubstr("none"));
}

TEST_F(ReloadTest, AListenerThatWasTakenAwayComesBack) {
  publish_without_listeners();
  publish(in_force);
  EXPECT_THAT(asked_with(), HasSubstr("none"));
}

TEST_F(ReloadTest, WhoIsConnectedToAListenerThatGoesGetsAnAnswerOrTheEnd) {
  const auto idle = client();
  idle->send(chat(kAsk));
  EXPECT_THAT(idle->read_message(), HasSubstr("none"));
  const auto begun = client();
  const std::string request = chat(kAsk);
  begun->send(request.substr(0, 20));
  eventually([&] { return router->connections() == 2; });
  publish_without_listeners();
  EXPECT_EQ(idle->read_all(), "");
  EXPECT_TRUE(idle->closed());
  begun->send(request.substr(20));
  const std::string answer = begun->read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_THAT(answer, HasSubstr("\"code\":\"listener_removed\""));
  EXPECT_EQ(records.wait(2).error, "listener_removed");
}

TEST_F(ReloadTest, OtherSettingsOfAListenerKeepItsSocket) {
  const auto socket_of = [this] {
    struct stat status {};
    const auto sockets = router->sockets();
    EXPECT_EQ(sockets.size(), 1U);
    ::fstat(sockets.at(0).get(), &status);
    return status.st_ino;
  };
  const auto before = socket_of();
  Policy changed = policy;
  changed.listeners[0].limits.handshake_time = std::chrono::seconds(3);
  changed.listeners[0].proxy_protocol = {.require = true, .from = {*Prefix::parse("10.0.0.0/8")}};
  const auto next = std::make_shared<const Policy>(changed);
  ASSERT_TRUE(router->prepare(next, monotonic_now()).empty());
  publish(next);
  EXPECT_EQ(socket_of(), before);
  EXPECT_EQ(ask(chat(kAsk)), "") << "what differs is in force";
}

}  // namespace
}  // namespace perigee::router
