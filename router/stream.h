// Stream: a connected, non-blocking TCP socket, with or without TLS. Registered in its loop once,
// edge-triggered; it remembers what it is ready for, so that nobody reads or writes in vain, and raises its
// owner's Signal on change.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "contract/address.h"
#include "contract/error.h"
#include "router/loop.h"

struct ssl_st;

namespace perigee::router {

class TlsClient;
class TlsServer;

enum class IoStatus : std::uint8_t {
  ok,      // something was done; for establish(): the stream is open
  again,   // nothing can be done until the Signal is raised
  eof,     // the peer sent all it will send (FIN, with TLS close_notify)
  failed,  // the connection is of no more use; Stream::failure() says why
};

struct IoResult {
  std::size_t octets = 0;
  IoStatus status = IoStatus::ok;
};

class Stream final : private Watched {
 public:
  // `where` of an error that says nothing of the other end: no socket is left for it (descriptors.h).
  static constexpr std::string_view kNoDescriptors = "descriptors";

  // Begins to connect; establish() finishes. `tls` may be null and is used during the call only. Fails when
  // there is no socket or the address cannot be reached at all.
  static Result<std::unique_ptr<Stream>> connect(Loop& loop, const IpAddress& address, std::uint16_t port,
                                                 const TlsClient* tls, Signal& signal);
  // Takes over `fd`, an accepted non-blocking socket. Fails when the loop cannot watch it (`fd` is closed
  // then).
  static Result<std::unique_ptr<Stream>> adopt(Loop& loop, int fd, Signal& signal);
  ~Stream();  // as close()

  // From here on the stream speaks TLS as the server; establish() does the handshake.
  [[nodiscard]] bool start_tls(const TlsServer& tls);

  // Connects and does the TLS handshake as far as it goes now: ok once the stream is open, again, or failed.
  [[nodiscard]] IoStatus establish();

  // Fills `into` (not empty) as far as octets are there. ok: octets > 0.
  [[nodiscard]] IoResult read(std::span<char> into);
  // Sends as much of `parts` (not empty) as the socket takes; ok: octets > 0. What was not sent is offered
  // again first (with TLS at least as much of it as before).
  [[nodiscard]] IoResult write(std::span<const iovec> parts);

  // A read may give something, a write may take something: true until one came back short.
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] bool writable() const { return writable_; }
  // FIN, reset or close_notify was seen; octets sent before it may still be read.
  [[nodiscard]] bool peer_closed() const { return peer_closed_; }

  // Whether octets that arrive raise the Signal (they do at first). readable() tells in any case, and the end
  // of the peer always raises.
  void want_read(bool wanted) { wants_read_ = wanted; }
  // Another owner's Signal from now on; null: none.
  void bind(Signal* signal) { signal_ = signal; }

  // Ends our direction: close_notify with TLS, then FIN. What the peer sends can still be read.
  void shutdown_send();
  // Closes with RST: the peer learns at once, and unsent octets are dropped.
  void abort();
  // Closes in order. After abort() and close() only the destructor may follow.
  void close();

  // The round trip as the kernel sees it on this connection now (smoothed); nothing before the first.
  [[nodiscard]] std::optional<std::chrono::microseconds> rtt() const;
  // Its congestion window now, in octets; kInitialWindow when the kernel does not say.
  [[nodiscard]] std::uint32_t window() const;
  // Why it failed, for a log: "connect: Connection refused", "certificate verify failed (...)".
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] bool encrypted() const { return ssl_ != nullptr; }
  // The TLS handshake went on from an earlier session.
  [[nodiscard]] bool resumed() const;
  // Where the peer is, as the socket tells.
  [[nodiscard]] IpAddress peer_address() const;
  [[nodiscard]] std::uint16_t peer_port() const;
  // Where the peer reached us.
  [[nodiscard]] IpAddress local_address() const;

 private:
  friend struct StreamBio;
  enum class State : std::uint8_t { connecting, handshake, open, failed, closed };

  Stream(Loop& loop, int fd, Signal& signal, State state);
  void on_events(std::uint32_t events) override;
  void mark_readable();
  IoStatus finish_connect();
  // As recv and sendmsg, keeping the readiness flags.
  ssize_t receive(char* into, std::size_t size);
  ssize_t send(std::span<const iovec> parts);
  IoStatus fail(const char* doing, std::string reason);
  void release();

  // stream_tls.cc
  bool attach(ssl_st* ssl);  // null: false
  IoStatus handshake();
  IoResult read_tls(std::span<char> into);
  IoResult write_tls(std::span<const iovec> parts);
  IoStatus tls_status(int result, const char* doing);
  void send_close_notify();
  void free_tls();

  Loop& loop_;
  Signal* signal_;
  ssl_st* ssl_ = nullptr;
  int fd_;
  State state_;
  bool readable_ = false;
  bool socket_readable_ = false;  // under TLS readable_ also counts what was received and not yet opened
  bool writable_ = false;
  bool peer_closed_ = false;
  bool wants_read_ = true;
  std::string failure_;
};

}  // namespace perigee::router
