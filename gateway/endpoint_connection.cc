#include "gateway/endpoint_connection.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

namespace perigee::gateway {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

asio::ip::tcp::endpoint socket_address(const CheckTarget& target) {
  if (target.address.is_v4()) return {asio::ip::address_v4(target.address.v4_value()), target.port};
  return {asio::ip::address_v6(target.address.octets), target.port};
}

CheckFinding finding_of(const boost::system::error_code& error, CheckFinding otherwise) {
  if (error == beast::error::timeout || error == asio::error::timed_out) return CheckFinding::timeout;
  if (error == asio::error::connection_refused) return CheckFinding::refused;
  if (error == asio::error::network_unreachable || error == asio::error::host_unreachable) {
    return CheckFinding::unreachable;
  }
  if (error == asio::error::connection_reset || error == asio::error::eof ||
      error == asio::error::broken_pipe || error == http::error::end_of_stream ||
      error == http::error::partial_message || error == ssl::error::stream_truncated) {
    return CheckFinding::reset;
  }
  if (error == http::error::body_limit || error == http::error::header_limit ||
      error == http::error::buffer_overflow) {
    return CheckFinding::too_large;
  }
  return otherwise;
}

void fail(CheckResult& result, const boost::system::error_code& error, CheckFinding otherwise) {
  result.finding = finding_of(error, otherwise);
  result.detail = error.message();
}

std::string host_field(const CheckTarget& target) {
  const std::string text = target.address.text();
  return (target.address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(target.port);
}

}  // namespace

EndpointConnection::EndpointConnection(const asio::any_io_executor& executor, CheckTarget target,
                                       ConnectionTls tls)
    : target_(target), tls_(std::move(tls)), tcp_(executor) {}

asio::awaitable<void> EndpointConnection::open(CheckResult& result) {
  const Instant began = monotonic_now();
  auto [error] = co_await tcp_.async_connect(socket_address(target_), kAsTuple);
  if (error) {
    fail(result, error, CheckFinding::not_made);
    co_return;
  }
  result.connect_rtt = monotonic_now() - began;
  if (tls_.use) co_await shake_hands(result);
}

asio::awaitable<void> EndpointConnection::shake_hands(CheckResult& result) {
  SSL* const connection = tls_.client == nullptr ? nullptr : tls_.client->new_connection();
  if (connection == nullptr) {
    result.finding = CheckFinding::not_made;
    result.detail = "no memory for TLS";
    co_return;
  }
  SSL_set_session(connection, nullptr);  // resuming one, the endpoint would not show its certificate
  secure_.emplace(tcp_, connection);     // owns it from here on
  auto [error] = co_await secure_->async_handshake(ssl::stream_base::client, kAsTuple);
  if (!error) co_return;
  fail(result, error, CheckFinding::tls_failed);
  const long verified = SSL_get_verify_result(connection);
  if (SSL_get_verify_mode(connection) != SSL_VERIFY_NONE && verified != X509_V_OK)
    result.detail = std::string("certificate: ") + X509_verify_cert_error_string(verified);
}

asio::awaitable<void> EndpointConnection::get(const Question& question, CheckResult& result) {
  kept_ = false;
  if (secure_)
    co_await exchange(*secure_, question, result);
  else
    co_await exchange(tcp_, question, result);
}

template <class Stream>
asio::awaitable<void> EndpointConnection::exchange(Stream& stream, const Question& question,
                                                   CheckResult& result) {
  http::request<http::empty_body> request{http::verb::get, question.path, 11};
  request.set(http::field::host, host_field(target_));
  request.set(http::field::user_agent, "perigee");
  if (!question.authorization.empty()) request.set(http::field::authorization, question.authorization);
  request.keep_alive(question.keep);
  auto [not_sent, sent] = co_await http::async_write(stream, request, kAsTuple);
  if (not_sent) {
    fail(result, not_sent, CheckFinding::reset);
    co_return;
  }
  http::response_parser<http::string_body> parser;
  parser.body_limit(question.max_body);
  auto [no_head, head_size] = co_await http::async_read_header(stream, buffer_, parser, kAsTuple);
  if (no_head) {
    fail(result, no_head, CheckFinding::malformed);
    co_return;
  }
  result.status = parser.get().result_int();
  const bool good = result.status == question.status;
  if (!good) {
    result.finding = CheckFinding::bad_status;
    result.detail = "status " + std::to_string(result.status) + ", not " + std::to_string(question.status);
  }
  // The body is read only where it matters: a page that never ends is no fault then.
  if (!good || !question.want_body) co_return;
  auto [no_body, body_size] = co_await http::async_read(stream, buffer_, parser, kAsTuple);
  if (no_body) {
    fail(result, no_body, CheckFinding::malformed);
    co_return;
  }
  kept_ = question.keep && parser.keep_alive();
  result.body = std::move(parser.get().body());
}

}  // namespace perigee::gateway
