// Keys, limits and regions as clients of a whole router meet them.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "router/keys.h"
#include "router/limiter.h"
#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kSecret = "AbCdEfGhIjKlMnOpQrStUv";

std::string hex(const Digest& digest) {
  std::string out;
  for (const unsigned char octet : digest) {
    out += "0123456789abcdef"[octet >> 4U];
    out += "0123456789abcdef"[octet & 15U];
  }
  return out;
}

struct TrustTest : RouterLab {
  ~TrustTest() override { std::filesystem::remove_all(folder); }
  // `keys`: for each key its id and what it may.
  void begin_with(const std::vector<std::pair<std::string, std::string>>& keys, std::uint16_t endpoint) {
    write_keys(keys);
    more_policy = "keys: {file: " + (folder / "keys.yaml").string() + "}\n";
    more_service += "    require_key: true\n";
    begin({endpoint});
  }
  void write_keys(const std::vector<std::pair<std::string, std::string>>& keys) const {
    std::ofstream file(folder / "keys.yaml");
    ::chmod((folder / "keys.yaml").c_str(), 0600);
    file << "keys:\n";
    for (const auto& [id, may] : keys)
      file << "  " << id << ": {sha256: " << hex(sha256(kSecret)) << ", tenant: acme" << may << "}\n";
  }
  static std::string bearer(const std::string& id) {
    return "Authorization: Bearer " + id + "." + std::string(kSecret) + "\r\n";
  }

  const std::filesystem::path folder = [] {
    std::string name = "/tmp/trust-XXXXXX";
    return std::filesystem::path(::mkdtemp(name.data()));
  }();
};

void answer_all(Peer& peer) {
  while (!peer.read_message().empty())
    peer.send(json_answer(R"({"id":"x","usage":{"prompt_tokens":30,"completion_tokens":10}})"));
}

TEST_F(TrustTest, OnlyKeysAreServed) {
  ScriptedEndpoint endpoint(answer_all);
  begin_with({{"team", ""}}, endpoint.port());
  const std::string refused = ask(chat(kAsk));
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(refused, HasSubstr("invalid_api_key"));
  EXPECT_THAT(refused, HasSubstr("WWW-Authenticate: Bearer\r\n"));
  const std::string wrong = ask(chat(kAsk, "Authorization: Bearer team.wrongwrongwrongwrongwr\r\n"));
  EXPECT_THAT(wrong, StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(wrong, Not(HasSubstr("wrongwrong")));
  EXPECT_THAT(ask("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"), StartsWith("HTTP/1.1 401 "));
  EXPECT_EQ(endpoint.connections(), 0);
  EXPECT_THAT(ask(chat(kAsk, bearer("team"))), StartsWith("HTTP/1.1 200 "));
  const RequestRecord record = records.wait(4);
  EXPECT_EQ(record.key, "team");
  EXPECT_EQ(record.tenant, "acme");
  router.reset();
}

TEST_F(TrustTest, AKeySeesItsModelsAlone) {
  ScriptedEndpoint endpoint(answer_all);
  begin_with({{"team", ", models: [other]"}, {"all", ""}}, endpoint.port());
  EXPECT_THAT(ask(chat(kAsk, bearer("team"))), HasSubstr("model_not_found"));
  const std::string list = "GET /v1/models HTTP/1.1\r\nHost: a\r\n";
  EXPECT_THAT(ask(list + bearer("all") + "\r\n"), HasSubstr(R"("id":"m")"));
  EXPECT_THAT(ask(list + bearer("team") + "\r\n"), Not(HasSubstr(R"("id":"m")")));
  const std::string one = "GET /v1/models/m HTTP/1.1\r\nHost: a\r\n";
  EXPECT_THAT(ask(one + bearer("all") + "\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask(one + bearer("team") + "\r\n"), StartsWith("HTTP/1.1 404 "));
  router.reset();
}

TEST_F(TrustTest, RefusesOverTheLimitAndSaysWhenAgain) {
  ScriptedEndpoint endpoint(answer_all);
  begin_with({{"team", ", rpm: 2, tpm: 9000"}, {"watched", ", rpm: 1, shadow: true"}}, endpoint.port());
  const std::string first = ask(chat(kAsk, bearer("team")));
  EXPECT_THAT(first, HasSubstr("x-ratelimit-remaining-requests: 1\r\n"));
  EXPECT_THAT(ask(chat(kAsk, bearer("team"))), StartsWith("HTTP/1.1 200 "));
  const std::string refused = ask(chat(kAsk, bearer("team")));
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(refused, HasSubstr("rate_limit_exceeded"));
  EXPECT_THAT(refused, HasSubstr("rate_limit_error"));
  EXPECT_THAT(refused, HasSubstr("Retry-After: "));
  EXPECT_THAT(refused, HasSubstr("retry-after-ms: "));
  EXPECT_THAT(refused, HasSubstr("x-ratelimit-remaining-requests: 0\r\n"));
  EXPECT_EQ(records.wait(3).ending, Ending::shed);
  // Two answers used 40 tokens each, which are whole again after half a second.
  const auto& counters = *router->snapshot()->keys->find("team." + std::string(kSecret))->counters;
  eventually([&] {
    const auto left = allowance(counters.tokens_whole_at, 9000, monotonic_now()).remaining;
    return left >= 9000 - 80 && left < 9000;
  });
  EXPECT_THAT(ask(chat(kAsk, bearer("watched"))), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask(chat(kAsk, bearer("watched"))), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(records.wait(4).would_refuse, "");
  EXPECT_EQ(records.wait(5).would_refuse, "requests");
  router.reset();
}

TEST_F(TrustTest, CountsThoseAtOnceAndGivesBackWhenTheClientGoes) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    peer.read_message();
    peer.wait_closed();
  });
  begin_with({{"team", ", concurrency: 1"}}, endpoint.port());
  const auto first = client();
  first->send(chat(kAsk, bearer("team")));
  eventually([&] { return endpoint.connections() == 1; });
  EXPECT_THAT(ask(chat(kAsk, bearer("team"))), StartsWith("HTTP/1.1 429 "));
  first->reset();
  const auto& counters = *router->snapshot()->keys->find("team." + std::string(kSecret))->counters;
  eventually([&] { return counters.in_flight == 0; });
  router.reset();
}

// The usage that only the gateway asked for is counted, and the client never sees it.
TEST_F(TrustTest, AsksForUsageWhereTokensAreMetered) {
  std::string asked;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    for (std::string next = peer.read_message(); !next.empty(); next = peer.read_message()) {
      asked = next;
      peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[{\"delta\":{}}]}\n\n") +
                chunk("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n") +
                chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    }
  });
  begin_with({{"metered", ", tpm: 100000"}, {"free", ""}}, endpoint.port());
  const std::string answer = ask(chat(kAskStream, bearer("metered")));
  EXPECT_THAT(asked, HasSubstr("include_usage"));
  EXPECT_THAT(answer, Not(HasSubstr("prompt_tokens")));
  EXPECT_THAT(answer, HasSubstr("[DONE]"));
  EXPECT_EQ(records.wait().usage, (TokenUsage{7, 2, 0, 0}));
  EXPECT_THAT(ask(chat(kAskStream, bearer("free"))), HasSubstr("prompt_tokens"));
  EXPECT_THAT(asked, Not(HasSubstr("include_usage")));
  router.reset();
}

// Whatever its keys are metered by.
TEST_F(TrustTest, AsksForUsageWhereTheServiceIsMetered) {
  std::string asked;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    asked = peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[{\"delta\":{}}]}\n\n") +
              chunk("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n") +
              chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  });
  more_service = "    limits: {rpm: 1, tpm: 9000}\n";
  begin_with({{"free", ""}, {"other", ""}}, endpoint.port());
  const std::string answer = ask(chat(kAskStream, bearer("free")));
  EXPECT_THAT(asked, HasSubstr("include_usage"));
  EXPECT_THAT(answer, Not(HasSubstr("prompt_tokens")));
  const auto& counters = *router->snapshot()->services[0].counters;
  eventually([&] {
    const auto left = allowance(counters.tokens_whole_at, 9000, monotonic_now()).remaining;
    return left >= 9000 - 9 && left < 9000;
  });
  tick();  // what was used lives on
  EXPECT_EQ(router->snapshot()->services[0].counters.get(), &counters);
  EXPECT_THAT(ask(chat(kAskStream, bearer("other"))), StartsWith("HTTP/1.1 429 "));
  router.reset();
}

TEST_F(TrustTest, OutsideTheRegionsIs403) {
  ScriptedEndpoint endpoint(answer_all);
  begin_with({{"team", ", residency: [au]"}, {"all", ""}}, endpoint.port());
  const std::string refused = ask(chat(kAsk, bearer("team")));
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(refused, HasSubstr("residency_not_allowed"));
  EXPECT_THAT(ask(chat(kAsk, bearer("all") + "x-perigee-residency: au\r\n")), StartsWith("HTTP/1.1 403 "));
  EXPECT_EQ(endpoint.connections(), 0);
  EXPECT_THAT(ask(chat(kAsk, bearer("all"))), StartsWith("HTTP/1.1 200 "));
  router.reset();
}

TEST_F(TrustTest, ReloadsItsKeys) {
  ScriptedEndpoint endpoint(answer_all);
  begin_with({{"team", ""}}, endpoint.port());
  EXPECT_THAT(ask(chat(kAsk, bearer("team"))), StartsWith("HTTP/1.1 200 "));
  write_keys({{"team", ", rpm: 0"}});
  EXPECT_THAT(put_in_force(), HasSubstr("keys.team.rpm"));
  EXPECT_THAT(ask(chat(kAsk, bearer("team"))), StartsWith("HTTP/1.1 200 "));
  write_keys({{"other", ""}});
  EXPECT_EQ(put_in_force(), "");
  EXPECT_THAT(ask(chat(kAsk, bearer("team"))), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(ask(chat(kAsk, bearer("other"))), StartsWith("HTTP/1.1 200 "));
  router.reset();
}

}  // namespace
}  // namespace perigee::router
