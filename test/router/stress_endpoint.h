// An endpoint for stress: it answers with the caller's own name, or fails in one of the ways in which
// endpoints fail. Once told to be calm it only answers.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <string>

#include "test/router/router_lab.h"

namespace perigee::router {

// A generator for each thread, all of one seed: what one does hangs on no other.
inline std::minstd_rand& dice() {
  static std::atomic<unsigned> next = 1;
  thread_local std::minstd_rand own(next++ * 7919);
  return own;
}
inline unsigned draw(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(dice()); }
inline void rest(unsigned milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

class StressEndpoint {
 public:
  // `tls`: null for plain HTTP.
  explicit StressEndpoint(SSL_CTX* tls) : tls_(tls), endpoint_([this](Peer& peer) { serve(peer); }) {}
  [[nodiscard]] std::uint16_t port() const { return endpoint_.port(); }
  void calm() { calm_ = true; }

 private:
  static constexpr std::size_t kLarge = 8'000'000;  // more than sockets take for a client that does not read

  void serve(Peer& peer) {
    if (!calm_ && draw(40) == 0) return;  // closes at once
    if (!calm_ && tls_ != nullptr && draw(40) == 0) return peer.send("no handshake");
    if (tls_ != nullptr && !peer.start_tls(tls_, true)) return;
    while (true) {
      if (!calm_ && draw(30) == 0) {
        peer.read_until("\r\n\r\n");  // the body is not looked at
        return peer.send(json_answer(R"({"error":{"message":"too large"}})", 413));
      }
      const std::string request = peer.read_message();
      if (request.empty() || !answer(peer, request)) return;
    }
  }

  // False: the connection is over.
  bool answer(Peer& peer, const std::string& request) {
    if (calm_ || draw(3) > 0) return do_well(peer, request);
    switch (draw(11)) {
      case 0:
        peer.reset();
        return false;
      case 1:
        return false;  // closes
      case 2:
        peer.send("HTTP/1.1 200 OK\r\nContent-Ty");
        return false;
      case 3:
        peer.wait_closed();  // never answers
        return false;
      case 4:
        peer.send(json_answer("{}", draw(2) == 0 ? 503 : 429, "Retry-After: 0\r\n"));
        return true;
      case 5:
        peer.send(json_answer(R"({"error":{"message":"broken"}})", draw(8) == 0 ? 401 : 500));
        return true;
      case 6:
        peer.send("this is no HTTP\r\n\r\n");
        return false;
      case 7:
        peer.send(json_answer(good_body(request)) + "more than it said");
        return false;
      case 8:
        peer.send(json_answer(good_body(request), 200, "Connection: close\r\n"));
        return false;
      case 9:
        do_well(peer, request);
        return false;  // though it may be used again
      default:
        break_off(peer, request);
        return false;
    }
  }

  static bool do_well(Peer& peer, const std::string& request) {
    if (draw(8) == 0) rest(draw(20));
    if (draw(20) == 0) peer.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    if (request.find("\"stream\":true") == std::string::npos) {
      peer.send(json_answer(good_body(request)));
      return true;
    }
    peer.send(kEventHead);
    for (unsigned left = draw(6); left > 0; --left) {
      peer.send(chunk(event(request)));
      if (draw(8) == 0) rest(1);
    }
    peer.send(chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    return true;
  }

  // After a part of the answer: ends, resets or falls silent.
  static void break_off(Peer& peer, const std::string& request) {
    if (request.find("\"stream\":true") == std::string::npos) {
      const std::string whole = json_answer(good_body(request));
      peer.send(whole.substr(0, whole.size() - 1 - draw(5)));
    } else {
      peer.send(std::string(kEventHead) + chunk(event(request)));
      if (draw(2) == 0) peer.send("1f\r\ndata: half");
    }
    if (draw(2) == 0) peer.reset();
    if (draw(2) == 0) peer.wait_closed();
  }

  static std::string name_in(const std::string& request) {
    const auto at = request.find("\"user\":");
    return at == std::string::npos ? "\"user\":\"none\"" : request.substr(at, request.find(',', at) - at);
  }
  static std::string good_body(const std::string& request) {
    std::string body = "{" + name_in(request) + R"(,"usage":{"prompt_tokens":3,"completion_tokens":4})";
    if (request.find("\"large\"") != std::string::npos)
      body += ",\"text\":\"" + std::string(kLarge, 'x') + "\"";
    return body + "}";
  }
  static std::string event(const std::string& request) {
    return "data: {" + name_in(request) + ",\"choices\":[{}]}\n\n";
  }

  SSL_CTX* tls_;
  std::atomic<bool> calm_ = false;
  ScriptedEndpoint endpoint_;  // last: its threads use the above
};

}  // namespace perigee::router
