// The TLS half of Stream. OpenSSL reads and writes through Stream's own socket calls, so that it too makes
// none that cannot succeed.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "router/stream.h"
#include "router/tls.h"
#include "router/tls_error.h"

namespace perigee::router {
namespace {

constexpr std::size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;  // the most one record carries: 16 KiB

// Small parts go out as one record, not one each (every record costs 22 octets, a seal and a system call).
std::span<const char> gather(std::span<const iovec> parts, std::size_t skip, std::span<char> into) {
  std::size_t filled = 0;
  for (const iovec& part : parts) {
    if (skip >= part.iov_len) {
      skip -= part.iov_len;
      continue;
    }
    const auto* from = static_cast<const char*>(part.iov_base) + skip;
    const std::size_t left = part.iov_len - std::exchange(skip, 0);
    if (filled == 0 && (left >= into.size() || &part == &parts.back())) {
      return {from, std::min(left, into.size())};
    }
    const std::size_t taken = std::min(left, into.size() - filled);
    std::memcpy(into.data() + filled, from, taken);
    filled += taken;
    if (filled == into.size()) break;
  }
  return into.first(filled);
}

}  // namespace

struct StreamBio {
  static Stream& stream(BIO* bio) { return *static_cast<Stream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    Stream& stream = StreamBio::stream(bio);
    BIO_clear_retry_flags(bio);
    errno = EAGAIN;
    const ssize_t got = stream.socket_readable_ ? stream.receive(into, static_cast<std::size_t>(size)) : -1;
    if (got < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
    if (got == 0) errno = 0;
    return static_cast<int>(got);
  }

  static int write(BIO* bio, const char* from, int size) {
    Stream& stream = StreamBio::stream(bio);
    BIO_clear_retry_flags(bio);
    errno = EAGAIN;
    const iovec part{const_cast<char*>(from), static_cast<std::size_t>(size)};
    const ssize_t sent = stream.writable_ ? stream.send({&part, 1}) : -1;
    if (sent < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
    return static_cast<int>(sent);
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  // One for the process, never freed, as OpenSSL's own are.
  static const BIO_METHOD* method() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "perigee stream");
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    return method;
  }
};

bool Stream::attach(ssl_st* ssl) {
  if (ssl == nullptr) return false;
  ssl_ = ssl;
  BIO* bio = BIO_new(StreamBio::method());
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  return true;
}

bool Stream::start_tls(const TlsServer& tls) {
  state_ = State::handshake;
  return attach(tls.new_connection());
}

IoStatus Stream::handshake() {
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) {
    state_ = State::open;
    readable_ = socket_readable_ || SSL_has_pending(ssl_) == 1;
    return IoStatus::ok;
  }
  const IoStatus status = tls_status(result, "TLS handshake");
  if (status == IoStatus::again) return status;
  state_ = State::failed;
  return status == IoStatus::eof ? fail("TLS handshake", "the peer closed") : status;
}

IoResult Stream::read_tls(std::span<char> into) {
  std::size_t got = 0;
  while (readable_ && got < into.size()) {
    std::size_t opened = 0;
    if (const int result = SSL_read_ex(ssl_, into.data() + got, into.size() - got, &opened); result != 1) {
      const IoStatus status = tls_status(result, "TLS read");
      // Again may also mean that TLS must write first: room in the socket makes the stream readable again.
      if (status == IoStatus::again) readable_ = false;
      if (status == IoStatus::failed) state_ = State::failed;
      // What was opened before comes first; an end or a failure shows again at the next read.
      return {got, got > 0 ? IoStatus::ok : status};
    }
    got += opened;
    readable_ = socket_readable_ || SSL_has_pending(ssl_) == 1;
  }
  return {got, IoStatus::ok};
}

IoResult Stream::write_tls(std::span<const iovec> parts) {
  thread_local std::array<char, kRecord> record;
  std::size_t sent = 0;
  while (writable_) {
    const auto piece = gather(parts, sent, record);
    if (piece.empty()) break;
    std::size_t taken = 0;
    if (const int result = SSL_write_ex(ssl_, piece.data(), piece.size(), &taken); result != 1) {
      // As without TLS, reading goes on.
      const IoStatus status = tls_status(result, "TLS write");
      return {sent, sent > 0 && status == IoStatus::again ? IoStatus::ok : status};
    }
    sent += taken;
  }
  return {sent, IoStatus::ok};
}

IoStatus Stream::tls_status(int result, const char* doing) {
  const int error = errno;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return IoStatus::again;
    case SSL_ERROR_ZERO_RETURN:
      peer_closed_ = true;
      return IoStatus::eof;
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      // Without close_notify (RFC 8446 section 6.1) nobody knows whether this was all.
      return fail(doing, error == 0 ? "the peer closed without close_notify" : std::strerror(error));
    default:
      break;
  }
  const std::string reason = take_tls_error();
  const long verified = SSL_get_verify_result(ssl_);
  if (verified == X509_V_OK) return fail(doing, reason);
  return fail(doing, reason + " (" + X509_verify_cert_error_string(verified) + ")");
}

bool Stream::resumed() const { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }

void Stream::send_close_notify() {
  if ((SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) != 0) return;
  SSL_shutdown(ssl_);  // as far as the socket takes it: no reason to keep a connection that is over
  ERR_clear_error();
}

void Stream::free_tls() {
  // Ended in order or not, the session may be resumed.
  SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(std::exchange(ssl_, nullptr));
}

}  // namespace perigee::router
