// A client for stress: it makes requests and leaves, falls silent or errs in every phase of them. What it
// gets it looks into: every whole answer is its own, and says whether it is one.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "test/router/stress_endpoint.h"

namespace perigee::router {

struct StressDoor {
  std::uint16_t port = 0;
  bool tls = false;
};

// What all clients met.
struct StressTally {
  std::atomic<int> left = 0;        // requests still to be made
  std::atomic<int> not_let_in = 0;  // no listener, or no handshake
  std::atomic<int> whole = 0;       // answers of endpoints
  std::atomic<int> events = 0;      // of those, streams
  std::atomic<int> errors = 0;      // whole answers that say what went wrong
  std::atomic<int> broken = 0;      // answers that show that they are not whole
  std::atomic<int> silent = 0;      // closed without an answer
};

class StressClient {
 public:
  StressClient(StressTally& tally, std::vector<StressDoor> doors, std::vector<std::string> keys, SSL_CTX* tls,
               unsigned number)
      : tally_(tally), doors_(std::move(doors)), keys_(std::move(keys)), tls_(tls), number_(number) {}

  void run() {
    while (tally_.left > 0) connection();
  }

 private:
  void connection() {
    const StressDoor& door = doors_[draw(static_cast<unsigned>(doors_.size()))];
    const auto peer = Peer::try_connect(door.port);
    if (peer == nullptr) {
      ++tally_.not_let_in;
      return;
    }
    if (draw(20) == 0) peer->take_little();
    --tally_.left;
    if (door.tls && draw(20) == 0) {  // a record of TLS that never ends
      peer->send("\x16\x03\x01\x02");
      leave(*peer);
      return;
    }
    if (door.tls && !peer->start_tls(tls_, false)) {
      ++tally_.not_let_in;
      return;
    }
    for (unsigned more = draw(4); request(*peer) && more > 0; --more) --tally_.left;
  }

  // False: the connection is over.
  bool request(Peer& peer) {
    name_ = "\"user\":\"client " + std::to_string(number_) + " request " + std::to_string(++count_) + "\"";
    const bool streamed = draw(2) == 0;
    const std::string text = message(streamed);
    const std::size_t head = text.find("\r\n\r\n") + 4;
    switch (draw(18)) {
      case 0:  // in the head
        peer.send(text.substr(0, draw(static_cast<unsigned>(head))));
        return leave(peer);
      case 1:  // in the body
      case 2:
        peer.send(text.substr(0, head + draw(static_cast<unsigned>(text.size() - head))));
        return leave(peer);
      case 3:  // while it waits
      case 4:
        peer.send(text);
        rest(draw(10));
        return leave(peer, 2);
      case 5:  // in the answer
      case 6:
        peer.send(text);
        peer.read_until(streamed ? "data:" : "HTTP/1.1 ");
        return leave(peer, 2);
      case 7:  // after it
        peer.send(text);
        judge(peer);
        return leave(peer, 2);
      case 8:
        return refused(peer);
      case 9:  // does not read
        peer.take_little();
        if (draw(4) > 0) return true;
        peer.send(message(false, ",\"large\":1"));
        rest(400);
        return leave(peer);
      case 10:  // two at once
        peer.send(text + text);
        return judge(peer) && judge(peer);
      default:
        peer.send(text);
        return judge(peer);
    }
  }

  // Closes, resets or (`ways` > 2) stays until it is cut.
  static bool leave(Peer& peer, unsigned ways = 3) {
    switch (draw(ways)) {
      case 0:
        break;
      case 1:
        peer.reset();
        break;
      default:
        EXPECT_TRUE(peer.wait_closed()) << "nobody cut " << peer.seen().substr(0, 200);
    }
    peer.close();
    return false;
  }

  // What is no request that is taken: refused, and the connection closed where its framing is unknown.
  bool refused(Peer& peer) {
    static constexpr std::array<std::string_view, 5> kBad = {
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "
        "15\r\n\r\n{\"model\":\"none\""};
    peer.send(kBad[draw(kBad.size())]);
    judge(peer);
    return leave(peer);
  }

  std::string message(bool streamed, std::string_view more = "") const {
    std::string body = R"({"model":"m",)" + name_ + std::string(more);
    if (streamed) body += R"(,"stream":true)";
    const unsigned size = draw(50) == 0 ? 300'000 : draw(2000);
    body += R"(,"messages":[{"role":"user","content":")" + std::string(size, 'p') + R"("}]})";
    const std::string& key = keys_[draw(static_cast<unsigned>(keys_.size()))];
    const std::string fields = key.empty() ? "" : "Authorization: Bearer " + key + "\r\n";
    if (draw(4) > 0) return chat(body, fields);
    std::string text = chat("", fields + "Transfer-Encoding: chunked\r\n");
    text.erase(text.find("Content-Length: 0\r\n"), 19);
    const std::size_t cut = draw(static_cast<unsigned>(body.size() - 1)) + 1;
    return text + chunk(body.substr(0, cut)) + (cut < body.size() ? chunk(body.substr(cut)) : "") +
           "0\r\n\r\n";
  }

  // Reads an answer. False: the connection is over.
  bool judge(Peer& peer) {
    const std::string answer = peer.read_message();
    if (answer.empty()) {
      EXPECT_TRUE(peer.closed()) << "no answer to " << name_;
      ++tally_.silent;
      return false;
    }
    const std::size_t end = answer.find("\r\n\r\n");
    const std::string_view head = std::string_view(answer).substr(0, end);
    const std::string_view body = std::string_view(answer).substr(end + 4);
    for (auto at = body.find("\"user\""); at != std::string_view::npos; at = body.find("\"user\"", at + 1))
      EXPECT_EQ(body.substr(at, name_.size()), name_) << "of another request";
    const bool events = head.find("event-stream") != std::string_view::npos;
    const bool ended = events ? body.ends_with("0\r\n\r\n")
                              : head.find("ontent-Length: " + std::to_string(body.size()) + "\r\n") !=
                                        std::string_view::npos ||
                                    head.ends_with("ontent-Length: " + std::to_string(body.size()));
    const bool error = body.find("\"error\"") != std::string_view::npos;
    if (!ended) {
      EXPECT_TRUE(peer.closed()) << "half an answer to " << name_;
      ++tally_.broken;
      return false;
    }
    if (events) {
      EXPECT_NE(error, body.find("[DONE]") != std::string_view::npos) << answer;
    } else if (head.starts_with("HTTP/1.1 200 ")) {
      EXPECT_NE(body.find(name_), std::string_view::npos) << answer;
    } else {
      EXPECT_TRUE(error) << answer;
    }
    ++(error ? tally_.errors : tally_.whole);
    if (events && !error) ++tally_.events;
    return head.find("onnection: close") == std::string_view::npos;
  }

  StressTally& tally_;
  const std::vector<StressDoor> doors_;
  const std::vector<std::string> keys_;
  SSL_CTX* const tls_;
  const unsigned number_;
  unsigned count_ = 0;
  std::string name_;
};

}  // namespace perigee::router
