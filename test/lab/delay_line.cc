// delay_line: the wide-area network of the lab. One process holds the frames of every emulated link for the
// link's delay, loses some of them, or cuts the link. This kernel has no netem.
//
//   delay_line --control SOCKET [--watch ADDRESS] ... --link NAME,INTERFACE,INTERFACE,DELAY_MS ...
//
// --watch comes before the links: of the TCP segments of each such address the status has counts and times.
//
// Commands, one message each on the SOCK_SEQPACKET socket, answered by one message, "ok MONOTONIC_NS" for a
// change or "error TEXT":
//   delay LINK MS | loss LINK PERCENT | cut LINK | restore LINK | status
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <optional>
#include <sstream>
#include <vector>

#include "test/lab/delay_link.h"

namespace perigee::lab {
namespace {

// Timers fire some 60-70 us late on a busy virtual machine; this long before a frame is due we spin.
constexpr Nanos kEarlyWake = std::chrono::microseconds(70);
constexpr std::size_t kMaxControlClients = 8;  // the lab's commands; more are refused by closing
constexpr double kMaxDelayMs = 10'000;

volatile sig_atomic_t stop_requested = 0;

// A number from 0 to `most` and nothing after it.
std::optional<double> number(const std::string& text, double most) {
  std::istringstream in(text);
  double value = 0;
  if (!(in >> value) || !in.eof() || !(value >= 0) || value > most) return std::nullopt;
  return value;
}

Nanos milliseconds(double value) { return Nanos{static_cast<std::int64_t>(value * 1e6)}; }

class DelayLine {
 public:
  DelayLine(std::vector<DelayLink> links, Descriptor control)
      : links_(std::move(links)), control_(std::move(control)) {}

  // `unblocked`: the signal mask while it waits, so that a stop request is never slept over.
  void run(const sigset_t& unblocked) {
    std::vector<pollfd> polled;
    while (stop_requested == 0) {
      fill(polled);
      const timespec timeout = until_due();
      const int ready =
          ppoll(polled.data(), polled.size(), next_due_.never() ? nullptr : &timeout, &unblocked);
      if (ready > 0) serve(polled);
      const Instant now = monotonic_now();
      for (DelayLink& link : links_) {
        link.a_to_b().release(now);
        link.b_to_a().release(now);
      }
    }
  }

 private:
  void fill(std::vector<pollfd>& polled) {
    polled.clear();
    polled.push_back({control_.get(), POLLIN, 0});
    for (const Descriptor& client : clients_) polled.push_back({client.get(), POLLIN, 0});
    next_due_ = {};
    for (DelayLink& link : links_) {
      for (Direction* direction : {&link.a_to_b(), &link.b_to_a()}) {
        polled.push_back({direction->descriptor(), POLLIN, 0});
        const Instant due = direction->next_due();
        if (!due.never() && (next_due_.never() || due < next_due_)) next_due_ = due;
      }
    }
  }

  [[nodiscard]] timespec until_due() const {
    const Nanos wait = std::max(next_due_ - monotonic_now() - kEarlyWake, Nanos{0});
    return {static_cast<time_t>(wait.count() / 1'000'000'000),
            static_cast<long>(wait.count() % 1'000'000'000)};
  }

  void serve(const std::vector<pollfd>& polled) {
    std::size_t at = 1 + clients_.size();
    for (DelayLink& link : links_) {
      for (Direction* direction : {&link.a_to_b(), &link.b_to_a()}) {
        if (polled[at++].revents != 0) direction->receive(link.impairment(), random_);
      }
    }
    for (std::size_t i = clients_.size(); i > 0; --i) {
      if (polled[i].revents != 0 && !answer(clients_[i - 1].get()))
        clients_.erase(clients_.begin() + (i - 1));
    }
    if (polled[0].revents != 0) {
      Descriptor client(accept4(control_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (client.valid() && clients_.size() < kMaxControlClients) clients_.push_back(std::move(client));
    }
  }

  // False when the client is gone.
  bool answer(int client) {
    std::array<char, 256> command{};
    const ssize_t length = recv(client, command.data(), command.size(), 0);
    if (length <= 0) return false;
    const std::string reply = obey({command.data(), static_cast<std::size_t>(length)});
    return send(client, reply.data(), reply.size(), MSG_NOSIGNAL) >= 0;
  }

  std::string obey(const std::string& command) {
    std::istringstream words(command);
    std::string verb, name, value, more;
    words >> verb >> name >> value >> more;
    if (!more.empty()) return "error too many words";
    if (verb == "status" && name.empty()) return status();
    for (DelayLink& link : links_) {
      if (link.name() == name) return change(link, verb, value);
    }
    return "error no link is named '" + name + "'";
  }

  static std::string change(DelayLink& link, const std::string& verb, const std::string& value) {
    if (verb == "delay") {
      const auto delay = number(value, kMaxDelayMs);
      if (!delay) return "error delay is 0 to 10000 ms";
      link.set_delay(milliseconds(*delay));
    } else if (verb == "loss") {
      const auto percent = number(value, 100);
      if (!percent) return "error loss is 0 to 100 percent";
      link.set_loss(*percent / 100);
    } else if (verb == "cut" && value.empty()) {
      link.cut();
    } else if (verb == "restore" && value.empty()) {
      link.restore();
    } else {
      return "error commands are delay LINK MS, loss LINK PERCENT, cut LINK, restore LINK, status";
    }
    return "ok " + std::to_string(monotonic_now().ns);
  }

  [[nodiscard]] std::string status() const {
    std::string text;
    for (const DelayLink& link : links_) text += (text.empty() ? "{" : ", ") + link.status();
    return text + "}";
  }

  std::vector<DelayLink> links_;
  Descriptor control_;
  std::vector<Descriptor> clients_;
  Instant next_due_;
  std::mt19937_64 random_{std::random_device{}()};
};

Result<Descriptor> listen_on(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return Error{path, "no usable socket path"};
  std::memcpy(address.sun_path, path.c_str(), path.size());
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlink(path.c_str());
  if (!socket.valid() ||
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(socket.get(), static_cast<int>(kMaxControlClients)) != 0) {
    return Error{path, std::strerror(errno)};
  }
  return socket;
}

// "NAME,INTERFACE,INTERFACE,DELAY_MS"
Result<DelayLink> open_link(const std::string& description, const std::vector<IpAddress>& watched) {
  std::istringstream in(description);
  std::string name, a, b, delay_text;
  std::getline(in, name, ',');
  std::getline(in, a, ',');
  std::getline(in, b, ',');
  std::getline(in, delay_text);
  const auto delay = number(delay_text, kMaxDelayMs);
  if (name.empty() || a.empty() || b.empty() || !delay) {
    return Error{"--link " + description, "expected NAME,INTERFACE,INTERFACE,DELAY_MS"};
  }
  return DelayLink::open(name, a, b, {.delay = milliseconds(*delay), .watched = watched});
}

int run(const std::vector<std::string>& arguments) {
  std::vector<DelayLink> links;
  std::string control_path;
  std::vector<IpAddress> watched;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    if (arguments[i] == "--watch") {
      watched.push_back(IpAddress::parse(arguments[i + 1]).value_or(IpAddress{}));
    } else if (arguments[i] == "--control") {
      control_path = arguments[i + 1];
    } else if (arguments[i] == "--link") {
      auto link = open_link(arguments[i + 1], watched);
      if (!link) {
        std::cerr << "delay_line: " << link.error().text() << "\n";
        return 1;
      }
      links.push_back(std::move(*link));
    }
  }
  auto control = listen_on(control_path);
  if (!control || links.empty()) {
    std::cerr << "delay_line: " << (control ? "no --link given" : control.error().text()) << "\n"
              << "usage: delay_line --control SOCKET [--watch ADDRESS] ... --link "
                 "NAME,INTERFACE,INTERFACE,DELAY_MS ...\n";
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1UL);  // the default of 50 us would be added to every frame
  sigset_t stops, unblocked;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  sigprocmask(SIG_BLOCK, &stops, &unblocked);
  signal(SIGTERM, [](int) { stop_requested = 1; });
  signal(SIGINT, [](int) { stop_requested = 1; });
  std::cout << "ready" << std::endl;
  DelayLine(std::move(links), std::move(*control)).run(unblocked);
  return 0;
}

}  // namespace
}  // namespace perigee::lab

int main(int argc, char** argv) { return perigee::lab::run({argv + 1, argv + argc}); }
