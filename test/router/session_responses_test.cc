// Responses are found at the endpoint that made them, by the key they were made for.
#include <gmock/gmock.h>

#include <fstream>

#include "router/keys.h"
#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kSecretA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
constexpr std::string_view kSecretB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

std::string hex(const Digest& digest) {
  std::string out;
  for (const unsigned char octet : digest) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", octet);
    out += text;
  }
  return out;
}

struct SessionResponsesTest : RouterLab {
  // Two endpoints that say who they are, and give the ids resp_<port>_<n>.
  void SetUp() override {
    const auto script = [this](int who) {
      return [this, who](Peer& peer) {
        for (std::string asked = peer.read_message(); !asked.empty(); asked = peer.read_message()) {
          {
            const std::lock_guard lock(mutex);
            seen.push_back(asked.substr(0, asked.find(" HTTP")));
          }
          const std::string id = "resp_" + std::to_string(who) + "_" + std::to_string(made++);
          if (!asked.starts_with("POST /v1/responses HTTP")) {
            peer.send(json_answer("{\"served_by\":" + std::to_string(who) +
                                  R"(,"usage":{"input_tokens":50000,"output_tokens":7}})"));
          } else if (asked.find("\"stream\":true") != std::string::npos) {
            peer.send(
                std::string(kEventHead) +
                chunk(
                    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"" +
                    id + "\"}}\n\n") +
                chunk("event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n") +
                "0\r\n\r\n");
          } else {
            peer.send(json_answer("{\"output\":[{\"id\":\"msg_1\"}],\"id\":\"" + id +
                                  "\",\"served_by\":" + std::to_string(who) + "}"));
          }
        }
      };
    };
    one = std::make_unique<ScriptedEndpoint>(script(1));
    two = std::make_unique<ScriptedEndpoint>(script(2));
    keys = testing::TempDir() + "responses_keys.yaml";
    std::ofstream(keys) << "keys:\n  a: {sha256: " << hex(sha256(kSecretA))
                        << ", tenant: t}\n  b: {sha256: " << hex(sha256(kSecretB)) << ", tenant: t}\n";
    ::chmod(keys.c_str(), 0600);
    more_service = "    require_key: true\n";
    more_policy = "keys: {file: " + keys + "}\n";
    begin({one->port(), two->port()});
  }
  void TearDown() override { router.reset(); }

  static std::string bearer(char key) {
    return "Authorization: Bearer " + std::string(1, key) + "." +
           std::string(key == 'a' ? kSecretA : kSecretB) + "\r\n";
  }
  std::string make(char key, std::string_view body) const {
    std::string request = chat(body, bearer(key));
    return ask(request.replace(0, request.find(" HTTP"), "POST /v1/responses"));
  }
  std::string about(char key, std::string_view method, std::string_view path) const {
    return ask(std::string(method) + " /v1/responses/" + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" +
               bearer(key) + "\r\n");
  }
  static std::string id_of(const std::string& answer) {
    const std::size_t at = answer.find("resp_");
    return at == std::string::npos ? "" : answer.substr(at, answer.find('"', at) - at);
  }
  static std::string served_by(const std::string& id) { return "\"served_by\":" + id.substr(5, 1); }

  std::mutex mutex;
  std::vector<std::string> seen;
  std::atomic<int> made = 0;
  std::unique_ptr<ScriptedEndpoint> one, two;
  std::string keys;
};

TEST_F(SessionResponsesTest, AResponseIsAskedForWhereItWasMade) {
  for (int i = 0; i < 4; ++i) {
    const std::string id =
        id_of(make('a', i % 2 == 0 ? R"({"model":"m","input":""})" : R"({"model":"m","stream":true})"));
    ASSERT_THAT(id, StartsWith("resp_")) << i;
    for (int k = 0; k < 3; ++k) {
      EXPECT_THAT(about('a', "GET", id), HasSubstr(served_by(id)));
      EXPECT_THAT(about('a', "GET", id + "/input_items?limit=2"), HasSubstr(served_by(id)));
      EXPECT_THAT(about('a', "POST", id + "/cancel"), HasSubstr(served_by(id)));
      EXPECT_THAT(make('a', R"({"model":"m","previous_response_id":")" + id + "\"}"),
                  HasSubstr(served_by(id)));
    }
    EXPECT_THAT(about('a', "DELETE", id), HasSubstr(served_by(id)));
    const std::lock_guard lock(mutex);
    EXPECT_EQ(seen.back(), "DELETE /v1/responses/" + id);
  }
}

TEST_F(SessionResponsesTest, AnotherKeyNeverFindsIt) {
  const std::string id = id_of(make('a', R"({"model":"m"})"));
  const std::size_t asked = seen.size();
  for (const std::string& answer :
       {about('b', "GET", id), about('b', "DELETE", id), about('b', "POST", id + "/cancel"),
        about('b', "GET", id + "/input_items"),
        make('b', R"({"model":"m","previous_response_id":")" + id + "\"}"), about('a', "GET", "resp_9"),
        about('a', "GET", id + "%20"), about('a', "GET", "msg_1")}) {
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 "));
    EXPECT_THAT(answer, HasSubstr("response_not_found"));
    EXPECT_THAT(answer, HasSubstr("\"error\":{\"message\":\"Response with id '"));
  }
  EXPECT_EQ(seen.size(), asked) << "no endpoint was asked";
}

TEST_F(SessionResponsesTest, ReadingItAgainCostsNothing) {
  const std::string id = id_of(make('a', R"({"model":"m"})"));
  EXPECT_THAT(about('a', "GET", id), HasSubstr("50000"));
  EXPECT_EQ(records.wait(2).usage, std::nullopt);
  EXPECT_EQ(records.wait(2).tokens_prompt + records.wait(2).tokens_completion, 0U);
}

TEST_F(SessionResponsesTest, NobodyChoosesAnId) {
  const std::string id = id_of(make('a', R"({"model":"m"})"));
  const std::size_t asked = seen.size();
  for (const char* name : {"request_id", "request\\u005fid"}) {
    const std::string answer = make('b', R"({"model":"m",")" + std::string(name) + R"(":")" + id + "\"}");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 ")) << name;
    EXPECT_THAT(answer, HasSubstr("unsupported_parameter")) << name;
  }
  EXPECT_EQ(seen.size(), asked) << "no endpoint was asked";
  EXPECT_THAT(make('b', R"({"model":"m","metadata":{"request_id":"x"}})"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(SessionResponsesTest, OtherPathsStayUnknown) {
  const std::string id = id_of(make('a', R"({"model":"m"})"));
  for (const auto& [method, path] :
       {std::pair("POST", id), std::pair("GET", id + "/cancel"), std::pair("GET", id + "/other"),
        std::pair("DELETE", id + "/input_items")})
    EXPECT_THAT(about('a', method, path), HasSubstr("unknown_url")) << method << path;
}

TEST_F(SessionResponsesTest, ItStaysAtAnEndpointThatIsGone) {
  const std::string id = id_of(make('a', R"({"model":"m"})"));
  (id[5] == '1' ? one : two).reset();
  EXPECT_THAT(about('a', "GET", id), StartsWith("HTTP/1.1 50")) << "no other endpoint has it";
  EXPECT_THAT(make('a', R"({"model":"m"})"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(SessionResponsesTest, AnEarlierResponseThatIsNamedTooLateIsRefused) {
  const std::string id = id_of(make('a', R"({"model":"m"})"));
  std::string body = R"({"model":"m","input":")";
  body.append(1'200'000, 'x').append(R"(","previous_response_id":")").append(id).append("\"}");
  const std::string answer = make('a', body);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("previous_response_id_too_late"));
}

}  // namespace
}  // namespace perigee::router
