// check, compile and apply: the verbs that take a policy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "contract/directory.h"
#include "contract/table_file.h"
#include "test/cli/http_server.h"
#include "test/cli/run_words.h"
#include "test/contract/run_directory.h"

namespace perigee::cli {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kPolicy = PERIGEE_SOURCE_DIR "/config/policy.yaml";

std::string text_of_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class PolicyVerbs : public testing::Test {
 protected:
  [[nodiscard]] std::string inside(const std::string& name) const { return directory_.path() + "/" + name; }
  // A policy with two faults.
  [[nodiscard]] std::string bad_policy() const {
    std::ofstream(inside("bad.yaml")) << text_of_file(kPolicy) << "\nsurprise: 1\nanother: 2\n";
    return inside("bad.yaml");
  }

  RunDirectory directory_;
};

TEST_F(PolicyVerbs, CheckAcceptsTheExample) {
  const Ran ran = run_words({"check", kPolicy});
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_THAT(ran.out, StartsWith(kPolicy + ": valid; PoP syd, links: "));
  EXPECT_THAT(ran.out, EndsWith(", services: 3\n"));  // forwarded, to the host, and routed
  EXPECT_THAT(run_words({"check", kPolicy, "--json"}).out, StartsWith(R"({"result":"valid","pop":"syd")"));
}

TEST_F(PolicyVerbs, CheckPrintsEveryErrorWithItsPlace) {
  const Ran ran = run_words({"check", bad_policy()});
  EXPECT_EQ(ran.code, kInvalid);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("bad.yaml:"));
  EXPECT_THAT(ran.err, HasSubstr("surprise"));
  EXPECT_THAT(ran.err, HasSubstr("another"));
  const Ran json = run_words({"check", "--json", bad_policy()});
  EXPECT_EQ(json.code, kInvalid);
  EXPECT_THAT(json.out, StartsWith(R"({"result":"invalid","errors":[")"));
}

TEST_F(PolicyVerbs, WhatCannotBeReadIsNoInvalidPolicy) {
  EXPECT_THAT(run_words({"check", inside("absent")}).err, HasSubstr("No such file"));
  EXPECT_EQ(run_words({"check", inside("absent")}).code, kFailed);
  EXPECT_THAT(run_words({"check", directory_.path()}).err, HasSubstr("not a regular file"));
  std::ofstream(inside("large")) << std::string((1U << 20U) + 1, '#');
  const Ran large = run_words({"apply", inside("large")});
  EXPECT_EQ(large.code, kFailed);
  EXPECT_THAT(large.err, HasSubstr("longer than a policy may be"));
}

TEST_F(PolicyVerbs, CompileWritesATable) {
  const std::vector<std::string> words = {"compile", kPolicy,       "--pop",
                                          "syd",     "--table-dir", directory_.path()};
  const Ran ran = run_words(words);
  ASSERT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(ran.out, inside("table.bin") + ": generation 1 for PoP syd\n");
  const auto table = table::read_file(directory_.path());
  ASSERT_TRUE(table) << table.error().text();
  EXPECT_EQ(table->pop.view(), "syd");
  EXPECT_FALSE(table->links.empty());
  EXPECT_FALSE(table->candidates.empty());
  ASSERT_EQ(run_words(words).code, kOk);
  const auto again = table::read_file(directory_.path());
  EXPECT_EQ(again->identity.generation, 2U);
  EXPECT_NE(again->identity.gateway_instance, table->identity.gateway_instance);
}

TEST_F(PolicyVerbs, CompileRefusesAnotherPopABadPolicyAndAHeldDirectory) {
  const auto compile = [&](const std::string& file, const std::string& pop) {
    return run_words({"compile", file, "--pop", pop, "--table-dir", directory_.path()});
  };
  const Ran other = compile(kPolicy, "mel");
  EXPECT_EQ(other.code, kFailed);
  EXPECT_THAT(other.err, HasSubstr("is the policy of PoP syd, not of mel"));
  EXPECT_EQ(compile(bad_policy(), "syd").code, kInvalid);
  const auto opened = open_directory(directory_.path());
  const auto lock = lock_directory(*opened, directory_.path());
  const Ran held = compile(kPolicy, "syd");
  EXPECT_EQ(held.code, kFailed);
  EXPECT_THAT(held.err, HasSubstr("held by process " + std::to_string(getpid())));
  EXPECT_FALSE(table::read_file(directory_.path())) << "nothing was written";
}

TEST_F(PolicyVerbs, ApplySendsTheTextToTheSocket) {
  HttpServer server(inside("s"), http_answer("200 OK", R"({"result": "accepted", "generation": 13,
                                                           "reason": "", "errors": []})"));
  const Ran ran = run_words({"apply", kPolicy, "--socket", inside("s")});
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(ran.out, kPolicy + ": accepted: the data plane serves it (table generation 13)\n");
  const std::string& request = server.requests().at(0);
  EXPECT_THAT(request, StartsWith("POST /api/v1/apply?name=%2F"));
  EXPECT_THAT(request, HasSubstr("policy.yaml HTTP/1.1\r\n"));
  EXPECT_THAT(request, EndsWith("\r\n\r\n" + text_of_file(kPolicy)));
}

TEST_F(PolicyVerbs, ApplyUsesThePolicysOwnSocket) {
  std::string text = text_of_file(kPolicy);
  const std::size_t at = text.find("/run/perigee/admin.sock");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string("/run/perigee/admin.sock").size(), inside("own"));
  std::ofstream(inside("own.yaml")) << text;
  HttpServer server(inside("own"), http_answer("200 OK", R"({"result": "accepted"})"));
  EXPECT_EQ(run_words({"apply", inside("own.yaml")}).code, kOk);
}

TEST_F(PolicyVerbs, EveryResultHasItsExitCode) {
  struct Case {
    const char* status;
    const char* body;
    int code;
    const char* says;
  };
  const std::vector<Case> cases = {
      {"422 Unprocessable Entity",
       R"({"result": "invalid", "generation": 0, "errors": ["f:1:2: links: bad"]})", kInvalid,
       "invalid: nothing was changed\nf:1:2: links: bad\n"},
      {"409 Conflict", R"({"result": "refused", "generation": 14, "reason": "no port link9"})", kRefused,
       "refused; the policy before stays in force (table generation 14): no port link9\n"},
      {"503 Service Unavailable", R"({"result": "no_dataplane", "generation": 15})", kNoDataplane,
       "no data plane serves it yet (table generation 15)\n"},
      {"403 Forbidden", R"({"error": "not over TCP"})", kFailed, "status 403: not over TCP"},
      {"200 OK", R"({"result": "perhaps"})", kFailed, "status 200"},
      {"200 OK", "<html>", kFailed, "status 200"},
  };
  for (const Case& one : cases) {
    HttpServer server(inside("s"), http_answer(one.status, one.body));
    const Ran ran = run_words({"apply", kPolicy, "--socket", inside("s")});
    EXPECT_EQ(ran.code, one.code) << one.body;
    EXPECT_THAT(ran.err, HasSubstr(one.says));
    EXPECT_EQ(ran.out, "");
    if (one.code != kFailed) {
      EXPECT_EQ(run_words({"apply", "--json", kPolicy, "--socket", inside("s")}).out,
                one.body + std::string("\n"));
    }
    ASSERT_EQ(unlink(inside("s").c_str()), 0);
  }
}

TEST_F(PolicyVerbs, ApplyAsksNobodyAboutAnInvalidPolicy) {
  HttpServer server(inside("s"), http_answer("200 OK", "{}"));
  EXPECT_EQ(run_words({"apply", bad_policy(), "--socket", inside("s")}).code, kInvalid);
  EXPECT_TRUE(server.requests().empty());
  const Ran nobody = run_words({"apply", kPolicy, "--socket", inside("absent")});
  EXPECT_EQ(nobody.code, kFailed);
  EXPECT_THAT(nobody.err, HasSubstr("is perigee-gateway running"));
}

TEST_F(PolicyVerbs, PlanComparesTwoFilesByTheirStaticOrder) {
  EXPECT_EQ(run_words({"plan", kPolicy, "--against", kPolicy}).out, kPolicy + ": no change\n");
  std::string text = text_of_file(kPolicy);
  text.replace(text.find("cost: 0ms"), 9, "cost: 5ms");
  text.replace(text.find("203.0.113.11:443"), 16, "203.0.113.11:444");
  std::ofstream(inside("next.yaml")) << text;
  const Ran ran = run_words({"plan", inside("next.yaml"), "--against", kPolicy});
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("by the policies' static order, as nothing is measured"));
  EXPECT_THAT(ran.out, HasSubstr("\nchat "));
  EXPECT_THAT(ran.out, HasSubstr("mel-1 over syd-mel-a 50.00%"));
  EXPECT_THAT(ran.out, HasSubstr("mel-1 over syd-mel-b 50.00%"));
  EXPECT_THAT(ran.out, HasSubstr("100.00%"));
  EXPECT_THAT(ran.out, HasSubstr("services that do not change: 2\n"));
  EXPECT_THAT(ran.out, HasSubstr("public    opened  203.0.113.11   444"));
  EXPECT_THAT(ran.out, EndsWith("\nsections that differ: links, listeners\n"));
  const Ran json = run_words({"plan", "--json", inside("next.yaml"), "--against", kPolicy});
  EXPECT_THAT(json.out,
              StartsWith(R"({"result":"change","measured":false,"sections":["links","listeners"],)"));
  EXPECT_EQ(run_words({"plan", kPolicy, "--against", bad_policy()}).code, kInvalid);
}

TEST_F(PolicyVerbs, PlanAsksTheGatewayAndSaysWhatToDoWithoutOne) {
  const Ran nobody = run_words({"plan", kPolicy, "--socket", inside("absent")});
  EXPECT_EQ(nobody.code, kFailed);
  EXPECT_THAT(nobody.err, HasSubstr("without a gateway, --against OLD compares two files"));
  EXPECT_EQ(run_words({"plan", bad_policy(), "--socket", inside("absent")}).code, kInvalid);
  {
    HttpServer server(inside("s"), http_answer("200 OK", R"({"result": "no_change"})"));
    EXPECT_EQ(run_words({"plan", kPolicy, "--socket", inside("s")}).out, kPolicy + ": no change\n");
    EXPECT_THAT(server.requests().at(0), StartsWith("POST /api/v1/plan?name=%2F"));
  }
  ASSERT_EQ(unlink(inside("s").c_str()), 0);
  HttpServer newer(inside("s"), http_answer("422 Unprocessable Entity",
                                            R"({"result": "invalid", "errors": ["f:1:2: links: bad"]})"));
  const Ran invalid = run_words({"plan", kPolicy, "--socket", inside("s")});
  EXPECT_EQ(invalid.code, kInvalid);
  EXPECT_EQ(invalid.err, "f:1:2: links: bad\n");
}

}  // namespace
}  // namespace perigee::cli
