// The real program in its surroundings: asked with curl, told by signals, beside a data plane that is only
// its telemetry.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "test/gateway/fake_dataplane.h"
#include "test/gateway/loopback.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;

const std::string kProgram = std::string(PERIGEE_BINARY_DIR) + "/bin/perigee-gateway";
const std::string kCommandLine = std::string(PERIGEE_BINARY_DIR) + "/bin/perigee";

// What a command prints, and how it ends.
struct Ran {
  std::string output;
  int status = 0;
};
Ran sh(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> piece{};
  while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), pipe)) {
    ran.output.append(piece.data(), got);
  }
  const int status = ::pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

bool eventually(const std::function<bool()>& done) {
  for (int tries = 0; tries < 1000; ++tries) {
    if (done()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

class GatewayProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access(kProgram.c_str(), X_OK) != 0) GTEST_SKIP() << kProgram << " is not built";
    if (sh("command -v curl").status != 0) GTEST_SKIP() << "curl is not installed";
  }
  ~GatewayProgramTest() override {
    stopping_ = true;
    if (dataplane_.joinable()) dataplane_.join();
    if (pid_ > 0) stop();
  }

  [[nodiscard]] std::string policy(const std::string& more = "") const {
    return policy_text("admin: {listen: \"127.0.0.1:" + std::to_string(port_) + "\", socket: " + socket_ +
                       "}\n" + more);
  }
  // With a routed service at that port of loopback.
  [[nodiscard]] std::string routed_policy(std::uint16_t port) const {
    std::string routed = kRouted;
    routed.replace(routed.find("203.0.113.11:80"), 15, "127.0.0.1:" + std::to_string(port));
    // The admin section of policy() comes first: the service belongs right behind the services.
    return policy_text(routed) + "admin: {listen: \"127.0.0.1:" + std::to_string(port_) +
           "\", socket: " + socket_ + "}\n";
  }
  void start() {
    launch();
    ASSERT_TRUE(eventually([this] { return logged("admin_listening"); })) << Surroundings::contents(log_);
  }
  void launch() {
    pid_ = ::fork();
    if (pid_ == 0) {
      const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(log, STDERR_FILENO);
      const rlimit descriptors{descriptors_, descriptors_};
      ::setrlimit(RLIMIT_NOFILE, &descriptors);
      ::execl(kProgram.c_str(), kProgram.c_str(), "--policy", around_.policy_file().c_str(), "--table-dir",
              around_.table_directory().c_str(), "--telemetry-dir", around_.telemetry_directory().c_str(),
              handover_.empty() ? nullptr : "--handover", handover_.c_str(), nullptr);
      _exit(127);
    }
  }
  // Its exit status after SIGTERM.
  int stop() {
    int status = 0;
    ::kill(pid_, SIGTERM);
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // A data plane that takes every table, on a thread of its own.
  void start_dataplane() {
    dataplane_ = std::thread([this] {
      FakeDataplane dataplane(around_);
      while (!stopping_) {
        dataplane.beat(monotonic_now());
        if (table::read_file(around_.table_directory())) dataplane.accept(monotonic_now());
        std::this_thread::sleep_for(10ms);
      }
    });
  }
  [[nodiscard]] bool logged(const std::string& event) const {
    return Surroundings::contents(log_).find("\"event\":\"" + event + "\"") != std::string::npos;
  }
  [[nodiscard]] std::string url(const std::string& path) const {
    return " 'http://127.0.0.1:" + std::to_string(port_) + path + "'";
  }
  [[nodiscard]] std::string get(const std::string& path) const {
    return sh("curl -sS -w '\\n%{http_code} %{content_type}'" + url(path)).output;
  }
  [[nodiscard]] std::string post(const std::string& path, const std::string& data_file) const {
    return sh("curl -sS --unix-socket " + socket_ + " --data-binary @" + data_file + " 'http://localhost" +
              path + "'")
        .output;
  }
  [[nodiscard]] bool shows(const std::string& path, const std::string& text) const {
    return get(path).find(text) != std::string::npos;
  }

  Surroundings around_;
  std::uint16_t port_ = closed_port();
  std::string socket_ = around_.path() + "/admin.sock";
  std::string log_ = around_.path() + "/log";
  std::string handover_;
  rlim_t descriptors_ = 1024;
  pid_t pid_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread dataplane_;
};

TEST_F(GatewayProgramTest, ChecksAPolicyAndLeaves) {
  around_.write_policy(policy());
  EXPECT_EQ(sh(kProgram + " --check --policy " + around_.policy_file()).status, 0);
  around_.write_policy(policy("nonsense: 1\n"));
  const Ran bad = sh(kProgram + " --check --policy " + around_.policy_file());
  EXPECT_EQ(bad.status, 2);
  EXPECT_NE(bad.output.find(":18:1: nonsense"), std::string::npos) << bad.output;
  EXPECT_EQ(sh(kProgram + " --version").status, 0);
  EXPECT_EQ(sh(kProgram + " --help").status, 0);
  EXPECT_EQ(sh(kProgram + " --policy x").status, 1);
  EXPECT_EQ(sh(kProgram + " --unknown").status, 1);
  EXPECT_EQ(sh(kProgram + " --policy x --table-dir /none --telemetry-dir /none").status, 1);
}

TEST_F(GatewayProgramTest, LeavesWithAllErrorsOfAPolicyItCannotStartWith) {
  around_.write_policy(policy("nonsense: 1\nmore: 2\n"));
  const Ran bad = sh("timeout 60 " + kProgram + " --policy " + around_.policy_file() + " --table-dir " +
                     around_.table_directory() + " --telemetry-dir " + around_.telemetry_directory());
  EXPECT_EQ(bad.status, 2);
  EXPECT_NE(bad.output.find(":18:1: nonsense"), std::string::npos) << bad.output;
  EXPECT_NE(bad.output.find(":19:1: more"), std::string::npos) << bad.output;
}

TEST_F(GatewayProgramTest, ServesReadersAndIsReadyOnceTheDataPlaneIs) {
  around_.write_policy(policy());
  start();
  EXPECT_TRUE(get("/healthz").ends_with("200 application/json"));
  EXPECT_TRUE(get("/readyz").ends_with("503 application/json"));
  EXPECT_TRUE(get("/metrics").ends_with("200 text/plain; version=0.0.4; charset=utf-8"));
  EXPECT_TRUE(get("/nothing").ends_with("404 application/json"));
  EXPECT_TRUE(get("/api/v1/services/chat/explain?client=198.51.100.10").ends_with("200 application/json"));
  EXPECT_TRUE(get("/api/v1/services/none/explain?client=198.51.100.10").ends_with("404 application/json"));
  EXPECT_TRUE(get("/api/v1/services/chat/explain?client=x").ends_with("400 application/json"));
  EXPECT_TRUE(get("/api/v1/services/chat/explain?client=10.0.0.1&port=0").ends_with("400 application/json"));
  EXPECT_TRUE(shows("/api/v1/policy", "pop: syd"));
  EXPECT_EQ(sh("curl -sS -o /dev/null -w '%{http_code}' -d x" + url("/api/v1/apply")).output, "403");
  EXPECT_NE(sh("curl -sS -i -X POST" + url("/api/v1/links")).output.find("Allow: GET, HEAD"),
            std::string::npos);
  start_dataplane();
  EXPECT_TRUE(eventually([this] { return shows("/readyz", "200 application/json"); })) << get("/readyz");
  EXPECT_TRUE(shows("/api/v1/status", "\"state\":\"in_force\""));
  if (sh("command -v promtool").status == 0) {
    const Ran checked = sh("curl -sS" + url("/metrics") + " | promtool check metrics");
    EXPECT_EQ(checked.status, 0) << checked.output;
    EXPECT_EQ(checked.output, "");
  }
}

TEST_F(GatewayProgramTest, AppliesOverTheSocket) {
  around_.write_policy(policy());
  start();
  start_dataplane();
  ASSERT_TRUE(eventually([this] { return shows("/readyz", "200"); }));
  const std::string next = around_.path() + "/next.yaml";
  std::ofstream(next) << policy("flows: {tcp_idle: 2h}\n");
  const std::string answer = post("/api/v1/apply?name=next.yaml", next);
  EXPECT_EQ(answer, "{\"result\":\"accepted\",\"generation\":2,\"reason\":\"\",\"errors\":[]}\n");
  EXPECT_EQ(Surroundings::contents(around_.policy_file()), Surroundings::contents(next));
  EXPECT_NE(Surroundings::contents(log_).find("\"uid\":" + std::to_string(getuid())), std::string::npos);
  std::ofstream(next) << "version: 2\n";
  EXPECT_NE(post("/api/v1/apply?name=next.yaml", next).find("\"next.yaml:1:"), std::string::npos);
  EXPECT_NE(post("/api/v1/reload", "/dev/null").find("\"result\":\"accepted\""), std::string::npos);
}

TEST_F(GatewayProgramTest, PlansWithoutChangingAnything) {
  if (::access(kCommandLine.c_str(), X_OK) != 0) GTEST_SKIP() << kCommandLine << " is not built";
  around_.write_policy(policy());
  start();
  start_dataplane();
  ASSERT_TRUE(eventually([this] { return shows("/readyz", "200"); }));
  const std::string next = around_.path() + "/next.yaml";
  const std::string plan = kCommandLine + " plan " + next;
  std::ofstream(next) << policy();
  EXPECT_EQ(sh(plan).output, next + ": no change\n");
  std::string drained = policy("flows: {tcp_idle: 2h}\n");
  drained.replace(drained.find("10.2.1.1:8000"), 13, "10.2.1.1:8000, drain: true");
  std::ofstream(next) << drained;
  const Ran ran = sh(plan);
  EXPECT_EQ(ran.status, 0);
  EXPECT_NE(ran.output.find("by what is measured now"), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("mel-1 over syd-mel 100.00%"), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("per-1 over syd-per 100.00%  100.00%"), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("sections that differ: endpoints, flows"), std::string::npos) << ran.output;
  EXPECT_NE(sh(plan + " --json").output.find("\"name\":\"mel-1\",\"change\":\"drained\""), std::string::npos);
  EXPECT_EQ(Surroundings::contents(around_.policy_file()), policy());
  EXPECT_TRUE(
      shows("/api/v1/endpoints",
            "\"name\":\"mel-1\",\"pop\":\"mel\",\"address\":\"10.2.1.1:8000\",\"health\":\"unknown\""));
  EXPECT_FALSE(shows("/api/v1/endpoints", "\"drain\":true"));
  std::ofstream(next) << policy("nonsense: 1\n");
  EXPECT_EQ(sh(plan).status, 2);
  EXPECT_NE(post("/api/v1/plan?name=next.yaml", next).find("\"errors\":[\"next.yaml:18:1: nonsense"),
            std::string::npos);
  EXPECT_EQ(sh("curl -sS -o /dev/null -w '%{http_code}' -d x" + url("/api/v1/plan")).output, "403");
}

TEST_F(GatewayProgramTest, ReloadsOnSighupAndEndsOnSigterm) {
  around_.write_policy(policy());
  start();
  ASSERT_TRUE(shows("/metrics", "perigee_policy_last_reload_successful 1\n"));
  around_.write_policy("version: 1\n");
  ::kill(pid_, SIGHUP);
  EXPECT_TRUE(eventually([this] { return shows("/metrics", "perigee_policy_last_reload_successful 0\n"); }));
  EXPECT_TRUE(shows("/api/v1/links", "syd-mel"));
  EXPECT_TRUE(logged("policy_error"));
  around_.write_policy(policy());
  ::kill(pid_, SIGHUP);
  EXPECT_TRUE(eventually([this] { return shows("/metrics", "perigee_policy_last_reload_successful 1\n"); }));
  EXPECT_EQ(stop(), 0);
  EXPECT_TRUE(table::read_file(around_.table_directory()));
  EXPECT_NE(::access(socket_.c_str(), F_OK), 0);
}

TEST_F(GatewayProgramTest, AnswersAndReloadsWhenTheRouterIsFull) {
  descriptors_ = 128;
  const std::uint16_t port = closed_port();
  around_.write_policy(routed_policy(port));
  start();
  std::vector<Socket> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(connect_tcp(port));
  EXPECT_TRUE(eventually([this] {
    return shows("/metrics", "out_of_descriptors") && !shows("/metrics", "out_of_descriptors\"} 0\n");
  }));
  around_.write_policy("version: 1\n");
  ::kill(pid_, SIGHUP);
  EXPECT_TRUE(eventually([this] { return shows("/metrics", "perigee_policy_last_reload_successful 0\n"); }));
  EXPECT_TRUE(post("/api/v1/reload", "/dev/null").find("\"invalid\"") != std::string::npos);
  EXPECT_TRUE(get("/healthz").ends_with("200 application/json"));
  clients.clear();
  EXPECT_EQ(stop(), 0);
}

TEST_F(GatewayProgramTest, HandsOverToTheNextProcess) {
  handover_ = around_.path() + "/handover";
  const std::uint16_t port = closed_port();
  around_.write_policy(routed_policy(port));
  start();
  const std::string models =
      "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:" + std::to_string(port) + "/v1/models";
  ASSERT_TRUE(eventually([&] { return sh(models).output == "200"; }));
  std::atomic<bool> over = false;
  std::atomic<int> served = 0;
  std::atomic<int> refused = 0;
  std::thread clients([&] {
    while (!over) ++(sh(models).output == "200" ? served : refused);
  });
  const pid_t before = std::exchange(pid_, 0);
  std::filesystem::remove(log_);
  start();
  int status = 0;
  EXPECT_EQ(::waitpid(before, &status, 0), before) << "it ends by itself";
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
  const int so_far = served;
  EXPECT_TRUE(eventually([&] { return served > so_far + 5; }));
  over = true;
  clients.join();
  EXPECT_EQ(refused, 0);
  EXPECT_TRUE(shows("/api/v1/status", "\"loaded\":true"));
  EXPECT_EQ(stop(), 0) << "its own handover socket and lock are its own";
}

// The policy moved the admin API since the first one started, to where somebody else is.
TEST_F(GatewayProgramTest, GoesOnWithoutTheAdminApiWhenThereIsNoWayBack) {
  handover_ = around_.path() + "/handover";
  around_.write_policy(policy());
  start();
  const pid_t before = std::exchange(pid_, 0);
  std::filesystem::remove(log_);
  auto taken = std::make_unique<Listener>();
  ::fcntl(taken->fd(), F_SETFD, FD_CLOEXEC);
  port_ = taken->port();
  socket_ = around_.path() + "/moved.sock";
  around_.write_policy(policy());
  launch();
  int status = 0;
  EXPECT_EQ(::waitpid(before, &status, 0), before);
  ASSERT_TRUE(eventually([this] { return logged("cannot_open"); })) << Surroundings::contents(log_);
  EXPECT_EQ(::waitpid(pid_, &status, WNOHANG), 0) << "it serves";
  const Ran asked = sh("curl -sS --unix-socket " + socket_ + " http://localhost/healthz");
  EXPECT_EQ(asked.status, 0) << asked.output;
  taken.reset();
  ASSERT_TRUE(eventually([this] { return logged("admin_listening"); })) << Surroundings::contents(log_);
  EXPECT_TRUE(get("/healthz").ends_with("200 application/json"));
  EXPECT_EQ(stop(), 0);
}

}  // namespace
}  // namespace perigee::gateway::test
