// The endpoint behind every proxy of `scripts/bench router`: the cheapest OpenAI server there is. It looks at
// the first and the last octets of a body alone (an AI gateway writes what it has read anew, in its own
// order). With "stream":true it answers "max_tokens" events, one chunk each, the first at once and the others
// "seed" microseconds apart; without, a fixed JSON text.
//   router_backend ADDRESS PORT
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "test/bench/bench_sockets.h"

namespace perigee::bench {
namespace {

constexpr std::string_view kStream = R"("stream":true)";
constexpr std::string_view kEvents = R"("max_tokens":)";
constexpr std::string_view kGap = R"("seed":)";
constexpr std::size_t kLookedAt = 160;  // octets at either end of a body

const std::string& json_answer() {
  static const std::string answer = [] {
    const std::string body =
        R"({"id":"chatcmpl-123","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,)"
        R"("message":{"role":"assistant","content":"Hello! How can I help you today?"},"logprobs":null,)"
        R"("finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}})";
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }();
  return answer;
}

constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& payload) {
  std::array<char, 16> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", payload.size());
  return size.data() + payload + "\r\n";
}

const std::string& event() {
  static const std::string text =
      chunk(R"(data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1700000000,"model":"m",)"
            R"("choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]})"
            "\n\n");
  return text;
}

const std::string& last_event() {
  static const std::string text = chunk("data: [DONE]\n\n") + "0\r\n\r\n";
  return text;
}

// Adds octets of a body to its ends that are kept.
void look_at(std::string& ends, std::string_view octets) {
  const std::size_t first = std::min(octets.size(), kLookedAt - std::min(kLookedAt, ends.size()));
  ends += octets.substr(0, first);
  octets.remove_prefix(first);
  ends += octets.substr(octets.size() - std::min(octets.size(), kLookedAt));
  if (ends.size() > 2 * kLookedAt) ends.erase(kLookedAt, ends.size() - 2 * kLookedAt);
}

// The number after `name` in `text`; 0: there is none.
std::int64_t number_after(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  return at == std::string_view::npos ? 0 : std::atoll(text.data() + at + name.size());
}

struct Connection {
  int fd = -1;
  std::uint32_t generation = 0;  // of its stream: due events of an earlier one are nobody's
  std::string in;                // the head, then the first and last octets of the body
  std::size_t body_left = 0;
  bool in_body = false;
  std::int64_t events_left = 0;
  std::int64_t gap_ns = 0;
};

struct Due {
  std::int64_t at;
  int fd;
  std::uint32_t generation;
  bool operator>(const Due& other) const { return at > other.at; }
};

class Backend {
 public:
  Backend(const char* address, std::uint16_t port) : listener_(open_socket()) {
    const sockaddr_in at = ipv4(address, port);
    const int on = 1;
    if (::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(listener_, generic(at), sizeof at) != 0 || ::listen(listener_, 4096) != 0) {
      give_up("listen");
    }
    poller_.add(listener_, EPOLLIN, static_cast<std::uint64_t>(listener_));
  }

  [[noreturn]] void run() {
    while (true) {
      for (const epoll_event& event : poller_.wait(due_.empty() ? now_ns() + kSecond : due_.top().at)) {
        const auto fd = static_cast<int>(event.data.u64);
        if (fd == listener_)
          accept_all();
        else
          read(*connections_[static_cast<std::size_t>(fd)]);
      }
      const std::int64_t now = now_ns();
      while (!due_.empty() && due_.top().at <= now) {
        const Due due = due_.top();
        due_.pop();
        Connection& connection = *connections_[static_cast<std::size_t>(due.fd)];
        if (connection.fd == due.fd && connection.generation == due.generation) stream(connection, due.at);
      }
    }
  }

 private:
  void accept_all() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const auto index = static_cast<std::size_t>(fd);
      if (index >= connections_.size()) connections_.resize(index + 1);
      if (connections_[index] == nullptr) connections_[index] = std::make_unique<Connection>();
      Connection& connection = *connections_[index];
      const std::uint32_t generation = connection.generation + 1;
      connection = {};
      connection.fd = fd;
      connection.generation = generation;
      poller_.add(fd, EPOLLIN, index);
    }
  }

  void close(Connection& connection) { ::close(std::exchange(connection.fd, -1)); }

  void read(Connection& connection) {
    const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return close(connection);
    std::string_view octets(buffer_.data(), static_cast<std::size_t>(got));
    if (!connection.in_body) {
      connection.in += octets;
      const std::size_t end = connection.in.find("\r\n\r\n");
      if (end == std::string::npos) return;
      std::size_t length = 0;
      for (const std::string_view name : {"Content-Length:", "content-length:"})
        length = std::max(length, static_cast<std::size_t>(number_after(connection.in, name)));
      const std::string rest = connection.in.substr(end + 4);
      connection.in.clear();
      connection.in_body = true;
      connection.body_left = length;
      take_body(connection, rest);
    } else {
      take_body(connection, octets);
    }
  }

  // No pipelining: what comes is of the one request.
  void take_body(Connection& connection, std::string_view octets) {
    look_at(connection.in, octets);
    connection.body_left -= std::min(connection.body_left, octets.size());
    if (connection.body_left > 0) return;
    connection.in_body = false;
    connection.events_left =
        connection.in.find(kStream) == std::string::npos ? 0 : number_after(connection.in, kEvents);
    connection.gap_ns = number_after(connection.in, kGap) * 1000;
    connection.in.clear();
    if (connection.events_left == 0) {
      send(connection, json_answer());
      return;
    }
    ++connection.generation;
    send(connection, kStreamHead);
    stream(connection, now_ns());
  }

  void stream(Connection& connection, std::int64_t due) {
    if (--connection.events_left == 0) {
      send(connection, last_event());
      return;
    }
    if (!send(connection, event())) return;
    due_.push({due + connection.gap_ns, connection.fd, connection.generation});
  }

  // Nothing here fills a socket's buffer: one that is full is broken.
  bool send(Connection& connection, std::string_view text) {
    if (::send(connection.fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()))
      return true;
    close(connection);
    return false;
  }

  int listener_;
  Poller poller_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::array<char, std::size_t{256} * 1024> buffer_{};
};

}  // namespace
}  // namespace perigee::bench

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const auto backend =
      std::make_unique<perigee::bench::Backend>(argv[1], static_cast<std::uint16_t>(std::atoi(argv[2])));
  backend->run();
}
