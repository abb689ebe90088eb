// The sockets of the admin API: limits, Host, methods, both listeners; the handler is a stand-in.
#include "gateway/admin_server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "test/gateway/fake_dataplane.h"
#include "test/gateway/loopback.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;

// Says what it was asked.
boost::asio::awaitable<AdminResponse> echo(AdminRequest request) {
  if (request.target == "/throw") throw std::runtime_error("on purpose");
  AdminResponse response;
  response.content_type = "text/plain";
  response.body = request.method + " " + request.target + " " + std::to_string(request.body.size());
  if (request.peer) response.body += " uid " + std::to_string(request.peer->uid);
  if (request.method == "DELETE") {
    response.status = 405;
    response.allow = "GET, HEAD";
  }
  co_return response;
}

class AdminServerTest : public testing::Test {
 protected:
  void start(AdminLimits limits = {}) {
    server_.emplace(io_, echo, log_, limits);
    ASSERT_TRUE(server_->listen_tcp("127.0.0.1:0"));
    ASSERT_TRUE(server_->listen_unix(socket_));
    thread_ = std::thread([this] { io_.run(); });
  }
  ~AdminServerTest() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] std::string ask(const std::string& request) const {
    const Socket client = connect_tcp(server_->tcp_port());
    client.send(request);
    ::shutdown(client.fd(), SHUT_WR);
    return client.read_all();
  }
  [[nodiscard]] std::string ask_unix(const std::string& request) const {
    const Socket client = connect_unix(socket_);
    client.send(request);
    ::shutdown(client.fd(), SHUT_WR);
    return client.read_all();
  }
  // A socket of `type` that has our path.
  [[nodiscard]] Socket bound(int type) const {
    Socket socket(::socket(AF_UNIX, type, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static std::string with_host(const std::string& host) {
    return "GET /x HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
  }
  static bool starts(const std::string& text, const std::string& with) { return text.find(with) == 0; }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  Surroundings around_;
  std::string socket_ = around_.path() + "/admin.sock";
  Lines lines_;
  Log log_ = lines_.log();
  boost::asio::io_context io_;
  std::optional<AdminServer> server_;
  std::thread thread_;
};

TEST_F(AdminServerTest, ServesAndKeepsTheConnection) {
  start();
  const Socket client = connect_tcp(server_->tcp_port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /x?y=z HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const std::string answer = client.read_until("GET /x?y=z 0");
    EXPECT_TRUE(starts(answer, "HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(has(answer, "Content-Type: text/plain\r\n")) << answer;
    EXPECT_TRUE(has(answer, "Content-Length: 12\r\n")) << answer;
  }
}

TEST_F(AdminServerTest, HeadHasALengthAndNoBody) {
  start();
  const std::string answer = ask("HEAD /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(has(answer, "Content-Length: 9\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST_F(AdminServerTest, OnlyAddressesOfThisListenerAreHosts) {
  start();
  const std::string port = ":" + std::to_string(server_->tcp_port());
  for (const std::string& good : {std::string("localhost"), "LocalHost" + port, "127.0.0.1" + port,
                                  std::string("127.0.0.1"), "[::1]" + port}) {
    EXPECT_TRUE(starts(ask(with_host(good)), "HTTP/1.1 200")) << good;
  }
  for (const std::string& bad :
       {std::string("evil.example"), std::string("localhost.evil.example"), "192.0.2.1" + port,
        std::string(""), std::string("127.0.0.1.evil.example"), std::string("[::1")}) {
    EXPECT_TRUE(starts(ask(with_host(bad)), "HTTP/1.1 421")) << bad;
  }
  EXPECT_TRUE(starts(ask("GET /x HTTP/1.1\r\n\r\n"), "HTTP/1.1 400"));
  EXPECT_TRUE(starts(ask("GET /x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"), "HTTP/1.1 400"));
}

TEST_F(AdminServerTest, ABodyOnTcpIsNotReadAndTheMethodIsTheHandlers) {
  start();
  const std::string answer = ask("DELETE /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n" +
                                 std::string(5000, 'x'));
  EXPECT_TRUE(starts(answer, "HTTP/1.1 405")) << answer;
  EXPECT_TRUE(has(answer, "Allow: GET, HEAD\r\n")) << answer;
  EXPECT_TRUE(has(answer, "Connection: close\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("DELETE /x 0")) << answer;
}

TEST_F(AdminServerTest, TheSocketTakesABodyAndKnowsItsPeer) {
  start();
  const std::string peer = " uid " + std::to_string(getuid());
  const std::string answer =
      ask_unix("POST /x HTTP/1.1\r\nHost: any.name\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
  EXPECT_TRUE(answer.ends_with("POST /x 5" + peer)) << answer;
  const std::string full(1U << 20U, 'x');
  const std::string head = "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ";
  EXPECT_TRUE(starts(ask_unix(head + std::to_string(full.size()) + "\r\n\r\n" + full), "HTTP/1.1 200"));
  EXPECT_TRUE(starts(ask_unix(head + std::to_string(full.size() + 1) + "\r\n\r\nx"), "HTTP/1.1 413"));
  struct stat status {};
  ASSERT_EQ(::stat(socket_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0660U);
}

TEST_F(AdminServerTest, AClientThatWaitsForContinueGetsIt) {
  start();
  const Socket client = connect_unix(socket_);
  client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(starts(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("hello");
  EXPECT_TRUE(has(client.read_until("POST /x 5"), "POST /x 5"));
}

TEST_F(AdminServerTest, HeadersAreLimitedAndNonsenseIsRefused) {
  start();
  const std::string head = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ";
  EXPECT_TRUE(starts(ask(head + std::string(6000, 'x') + "\r\n\r\n"), "HTTP/1.1 200"));
  EXPECT_TRUE(starts(ask(head + std::string(9000, 'x') + "\r\n\r\n"), "HTTP/1.1 431"));
  EXPECT_TRUE(starts(ask("\x16\x03\x01 not http\r\n\r\n"), "HTTP/1.1 400"));
}

TEST_F(AdminServerTest, ASlowClientIsCutOff) {
  AdminLimits limits;
  limits.timeout = 30ms;
  start(limits);
  const Socket client = connect_tcp(server_->tcp_port());
  client.send("GET /x HT");
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(AdminServerTest, ConnectionsAreLimitedOnEachListener) {
  AdminLimits limits;
  limits.connections = 2;
  start(limits);
  const Socket first = connect_tcp(server_->tcp_port());
  const Socket second = connect_tcp(server_->tcp_port());
  for (const Socket* held : {&first, &second}) {
    held->send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(has(held->read_until("GET /x 0"), "200 OK"));
  }
  EXPECT_EQ(ask(with_host("localhost")), "");
  EXPECT_TRUE(has(ask_unix(with_host("localhost")), "200 OK")) << "TCP cannot lock the socket out";
  EXPECT_TRUE(lines_.has("admin_connections_full"));
}

TEST_F(AdminServerTest, AFailingHandlerIsAnError500) {
  start();
  EXPECT_TRUE(
      starts(ask("GET /throw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), "HTTP/1.1 500"));
  EXPECT_NE(lines_.text().find("on purpose"), std::string::npos);
}

TEST_F(AdminServerTest, WillNotTakeWhatIsInUse) {
  start();
  AdminServer second(io_, echo, log_);
  EXPECT_FALSE(second.listen_tcp("127.0.0.1:" + std::to_string(server_->tcp_port())));
  EXPECT_NE(second.listen_unix(socket_).error().what.find("another process"), std::string::npos);
  EXPECT_FALSE(second.listen_unix(around_.path()));
  EXPECT_FALSE(second.listen_unix(std::string(200, 'x')));
  for (const char* bad : {"", "127.0.0.1", "localhost:80", "127.0.0.1:99999", "127.0.0.1:80x"}) {
    EXPECT_FALSE(second.listen_tcp(bad)) << bad;
  }
}

TEST_F(AdminServerTest, ReplacesTheSocketOfADeadProcess) {
  { const Socket dead = bound(SOCK_STREAM); }
  start();
  EXPECT_TRUE(has(ask_unix(with_host("x")), "200 OK"));
}

TEST_F(AdminServerTest, LeavesASocketAloneThatMayBeInUse) {
  const Socket other = bound(SOCK_DGRAM);  // connect() does not answer "refused"
  AdminServer server(io_, echo, log_);
  EXPECT_FALSE(server.listen_unix(socket_));
  struct stat status {};
  EXPECT_EQ(::stat(socket_.c_str(), &status), 0);
}

}  // namespace
}  // namespace perigee::gateway::test
