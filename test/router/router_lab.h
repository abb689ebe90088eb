// A router on loopback between clients and endpoints of the test's own: real sockets, real threads, a real
// policy.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "router/router.h"
#include "router/socket_address.h"
#include "steering/policy_yaml.h"

namespace perigee::router {

inline const IpAddress kHere = IpAddress::v4(127, 0, 0, 1);

// A blocking socket, with or without TLS, and what was read from it.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  static std::unique_ptr<Peer> connect(std::uint16_t port) {
    auto peer = try_connect(port);
    EXPECT_NE(peer, nullptr);
    return peer;
  }
  // Null: nobody listens.
  static std::unique_ptr<Peer> try_connect(std::uint16_t port) {
    auto peer = std::make_unique<Peer>(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress to(kHere, port);
    if (::connect(peer->fd_, to.get(), to.size()) != 0) return nullptr;
    return peer;
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { close(); }

  // The other end's socket, which is in this process too.
  [[nodiscard]] int other_end() const {
    const std::uint16_t port = SocketAddress::of_peer(fd_).port();
    for (int fd = 3; fd < 1024; ++fd) {
      sockaddr_in own{};
      socklen_t size = sizeof own;
      if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0 && ntohs(own.sin_port) == port)
        return fd;
    }
    return -1;
  }
  // From here on through TLS. False: no handshake.
  bool start_tls(SSL_CTX* context, bool as_server) {
    ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    const timeval limit{kPatienceMs / 1000, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    return (as_server ? SSL_accept(ssl_) : SSL_connect(ssl_)) == 1;
  }
  // What is not read soon stops the sender.
  void take_little() const {
    const int octets = 4096;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
  }

  void send(std::string_view text) const {
    if (text.empty()) return;
    if (ssl_ != nullptr) {
      SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
    } else {
      ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    }
  }
  // Reads until `text` has come; false: the peer closed first, or nothing came for all of kPatienceMs.
  bool read_until(std::string_view text) {
    while (seen_.find(text) == std::string::npos) {
      if (!read_some()) return false;
    }
    return true;
  }
  // How many octets came next; 0: the end.
  std::size_t read_more() {
    const std::size_t before = seen_.size();
    read_some();
    return seen_.size() - before;
  }
  // What comes within so many milliseconds.
  void read_for(int milliseconds) { read_some(milliseconds); }
  // Everything to the end.
  const std::string& read_all() {
    while (read_some()) {
    }
    return seen_;
  }
  // A head and, by its Content-Length or chunks, its body; what follows stays. "" at the end.
  std::string read_message() {
    if (!read_until("\r\n\r\n")) return "";
    std::size_t end = seen_.find("\r\n\r\n") + 4;
    const std::string head = seen_.substr(0, end);
    if (const auto at = head.find("ontent-Length: "); at != std::string::npos) {
      end += std::stoul(head.substr(at + 15));
      while (seen_.size() < end) {
        if (!read_some()) break;
      }
    } else if (head.find("chunked") != std::string::npos) {
      if (!read_until("0\r\n\r\n")) return std::exchange(seen_, "");
      end = seen_.find("0\r\n\r\n") + 5;
    }
    std::string message = seen_.substr(0, end);
    seen_.erase(0, end);
    return message;
  }
  // The peer ended or reset its side.
  bool wait_closed() {
    while (read_some()) {
    }
    return closed_;
  }
  // It reset its side.
  bool wait_reset() { return wait_closed() && reset_; }
  [[nodiscard]] const std::string& seen() const { return seen_; }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  // With TLS too it is cut, without close_notify.
  void close() {
    if (ssl_ != nullptr) SSL_free(std::exchange(ssl_, nullptr));
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // It ended, not only stopped.
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  static constexpr int kPatienceMs = 30'000;  // of a slow machine; what hangs hangs longer

  bool read_some(int patience_ms = kPatienceMs) {
    pollfd wait{fd_, POLLIN, 0};
    if (fd_ < 0 || ((ssl_ == nullptr || SSL_pending(ssl_) == 0) && ::poll(&wait, 1, patience_ms) != 1))
      return false;
    char octets[16384];
    const ssize_t got =
        ssl_ == nullptr ? ::recv(fd_, octets, sizeof octets, 0) : SSL_read(ssl_, octets, sizeof octets);
    if (got <= 0) {
      closed_ = true;
      reset_ = got < 0;
      return false;
    }
    seen_.append(octets, static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  SSL* ssl_ = nullptr;
  std::string seen_;
  bool closed_ = false;
  bool reset_ = false;
};

// An endpoint: each of its connections is a thread that runs the script.
class ScriptedEndpoint {
 public:
  using Script = std::function<void(Peer&)>;

  explicit ScriptedEndpoint(Script script) : script_(std::move(script)), listener_(open_socket()) {
    port_ = SocketAddress::of_socket(listener_).port();
    accepting_ = std::thread([this] { accept(); });
  }
  ~ScriptedEndpoint() {
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    for (Running& one : running_) one.thread.join();
    ::close(listener_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  // From its next connections: what is not read soon stops the sender.
  void take_little() const {
    const int octets = 4096;
    ::setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
  }
  [[nodiscard]] int connections() const { return connections_; }

  static int open_socket() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const SocketAddress any(kHere, 0);
    EXPECT_EQ(::bind(fd, any.get(), any.size()), 0);
    EXPECT_EQ(::listen(fd, 512), 0);
    return fd;
  }
  // A port on which nobody listens.
  static std::uint16_t free_port() {
    const int fd = open_socket();
    const std::uint16_t port = SocketAddress::of_socket(fd).port();
    ::close(fd);
    return port;
  }

 private:
  void accept() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      running_.remove_if([](Running& one) {
        if (one.over) one.thread.join();
        return !one.thread.joinable();
      });
      Running& one = running_.emplace_back();
      one.thread = std::thread([this, fd, &one] {
        Peer peer(fd);
        script_(peer);
        one.over = true;
      });
    }
  }

  struct Running {
    std::thread thread;
    std::atomic<bool> over = false;
  };

  Script script_;
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::list<Running> running_;
  std::thread accepting_;
};

inline std::string json_answer(std::string_view body, unsigned status = 200, std::string_view fields = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
         std::string(fields) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}
inline constexpr std::string_view kEventHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
inline std::string chunk(std::string_view text) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + std::string(text) + "\r\n";
}
inline std::string chat(std::string_view body, std::string_view fields = "") {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\n" +
         std::string(fields) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}
inline constexpr std::string_view kAsk = R"({"model":"m","messages":[]})";
inline constexpr std::string_view kAskStream = R"({"model":"m","stream":true,"messages":[]})";

// Keeps every record.
class Records : public RecordSink {
 public:
  StreamSeries* begin_stream(const RequestRecord& /*record*/, Nanos first_event) override {
    series.first_event.add(first_event);
    return &series;
  }
  void take(const RequestRecord& record) override {
    const std::lock_guard lock(mutex_);
    records_.push_back(record);
    more_.notify_all();
  }
  [[nodiscard]] bool wants_decisions() const override { return true; }
  void decided(const DecisionRecord& record) override {
    const std::lock_guard lock(mutex_);
    decisions_.push_back(record);
  }
  std::vector<DecisionRecord> decisions() {
    const std::lock_guard lock(mutex_);
    return decisions_;
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return records_.size();
  }
  // The `count`th record.
  RequestRecord wait(std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(more_.wait_for(lock, std::chrono::seconds(20), [&] { return records_.size() >= count; }));
    return records_.size() >= count ? records_[count - 1] : RequestRecord{};
  }

  StreamSeries series;  // of all requests

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<RequestRecord> records_;
  std::vector<DecisionRecord> decisions_;
};

struct RouterLab : testing::Test {
  // One tier: endpoints e1, e2, ... on these ports. `limits`, `router`, `timeouts`: YAML of those policy
  // keys.
  void begin(const std::vector<std::uint16_t>& ports, std::string limits = "{}",
             std::string router_keys = "{}", std::string timeouts = "{}") {
    port = ScriptedEndpoint::free_port();
    std::string text =
        "version: 1\npop: here\npops: {here: {prefixes: [10.0.0.0/8]}}\n"
        "interfaces: {local: {port: local0, address: 10.0.0.2/8}}\nendpoints:\n";
    for (std::size_t i = 0; i < ports.size(); ++i) {
      text += "  e" + std::to_string(i + 1) + ": {pop: here, address: 10.0.0.1:" + std::to_string(ports[i]) +
              ", health: {type: none}}\n";
    }
    text += "listeners:\n  public: {address: 127.0.0.1:" + std::to_string(port) + ", limits: " + limits +
            "}\n" +
            "services:\n  ai:\n    mode: route\n    listeners: [public]\n    models:\n      m: {endpoints: [";
    for (std::size_t i = 0; i < ports.size(); ++i) text += (i > 0 ? ", e" : "e") + std::to_string(i + 1);
    text += "], served_name: served" + more_model + ", timeouts: " + timeouts + "}\n" + more_service +
            "router: " + router_keys + "\n" + more_policy;
    policy = policy_of(text);
    router = Router::create({&records}).value();
    ASSERT_EQ(put_in_force(), "");
  }
  // `policy` as it is now, decided anew. What is wrong with it: then all stays as it was.
  std::string put_in_force() {
    const Instant now = monotonic_now();
    const auto next = std::make_shared<const Policy>(policy);
    if (const auto errors = router->prepare(next, now); !errors.empty()) return text_of(errors);
    in_force = next;
    decided = route(policy, Conditions{}, Route{}, now);
    router->publish(in_force, decided, now);
    return "";
  }
  // As the control loop does at each tick.
  void tick() { router->publish(in_force, decided, monotonic_now()); }
  static Policy policy_of(const std::string& text) {
    auto parsed = parse_policy(text, "policy.yaml");
    EXPECT_TRUE(parsed) << text_of(parsed.error()) << text;
    for (Policy::Endpoint& endpoint : parsed.value().endpoints)
      endpoint.address = kHere;  // no endpoint of a real policy
    return std::move(*parsed);
  }
  std::unique_ptr<Peer> client() const { return Peer::connect(port); }
  std::string ask(std::string_view request) const {
    const auto peer = client();
    peer->send(request);
    return peer->read_message();
  }
  // The last steps of a request come after its record.
  static void eventually(const std::function<bool()>& holds) {
    const Instant deadline = monotonic_now() + std::chrono::seconds(20);
    while (!holds() && monotonic_now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(holds());
  }
  void expect_nothing_held() const {
    eventually([&] { return router->counters().held.now == 0 && router->counters().retries.active == 0; });
    for (const auto& endpoint : router->snapshot()->endpoints) {
      EXPECT_EQ(endpoint.counters->in_flight.load(), 0U);
      EXPECT_EQ(endpoint.counters->tokens_waiting.load(), 0U);
      EXPECT_EQ(endpoint.counters->tokens_waiting_streamed.load(), 0U);
    }
  }

  std::string more_model;    // ", key: value" of the model
  std::string more_service;  // lines of the service, before begin()
  std::string more_policy;   // at the top level
  Records records;
  Policy policy;
  Route decided;
  std::shared_ptr<const Policy> in_force;
  std::unique_ptr<Router> router;
  std::uint16_t port = 0;
};

}  // namespace perigee::router
