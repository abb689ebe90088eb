#include "gateway/health_check.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

namespace perigee::gateway {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

tcp::endpoint socket_address(const CheckTarget& target) {
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
      error == http::error::partial_message) {
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

void judge_response(const http::response<http::string_body>& response, const Policy::Health& check,
                    CheckResult& result) {
  result.status = response.result_int();
  if (result.status != check.status) {
    result.finding = CheckFinding::bad_status;
    result.detail = "status " + std::to_string(result.status) + ", not " + std::to_string(check.status);
  } else if (check.body && response.body().find(*check.body) == std::string::npos) {
    result.finding = CheckFinding::bad_body;
    result.detail = "the response does not contain \"" + *check.body + "\"";
  }
}

template <class Stream>
asio::awaitable<void> exchange(Stream& stream, const CheckTarget& target, const Policy::Health& check,
                               bool want_body, CheckResult& result) {
  http::request<http::empty_body> request{http::verb::get, check.path, 11};
  request.set(http::field::host, host_field(target));
  request.set(http::field::user_agent, "perigee-health");
  request.set(http::field::connection, "close");
  auto [not_sent, sent] = co_await http::async_write(stream, request, kAsTuple);
  if (not_sent) {
    fail(result, not_sent, CheckFinding::reset);
    co_return;
  }
  beast::flat_buffer buffer{kMaxCheckResponse};
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxCheckResponse);
  auto [no_head, head_size] = co_await http::async_read_header(stream, buffer, parser, kAsTuple);
  if (no_head) {
    fail(result, no_head, CheckFinding::malformed);
    co_return;
  }
  // The body is read only where it matters: a page that never ends is no fault then.
  if ((check.body || want_body) && parser.get().result_int() == check.status) {
    auto [no_body, body_size] = co_await http::async_read(stream, buffer, parser, kAsTuple);
    if (no_body) {
      result.status = parser.get().result_int();
      fail(result, no_body, CheckFinding::malformed);
      co_return;
    }
  }
  judge_response(parser.get(), check, result);
  if (want_body && result.finding == CheckFinding::ok) result.body = std::move(parser.get().body());
}

asio::awaitable<void> exchange_tls(beast::tcp_stream& stream, const CheckTarget& target,
                                   const Policy::Health& check, const router::TlsClient* tls, bool want_body,
                                   CheckResult& result) {
  SSL* const connection = tls == nullptr ? nullptr : tls->new_connection();
  if (connection == nullptr) {
    result.finding = CheckFinding::not_made;
    result.detail = "no memory for TLS";
    co_return;
  }
  SSL_set_session(connection, nullptr);  // resuming one, the endpoint would not show its certificate
  ssl::stream<beast::tcp_stream&> secure(stream, connection);  // owns it from here on
  auto [error] = co_await secure.async_handshake(ssl::stream_base::client, kAsTuple);
  if (error) {
    fail(result, error, CheckFinding::tls_failed);
    const long verified = SSL_get_verify_result(connection);
    if (SSL_get_verify_mode(connection) != SSL_VERIFY_NONE && verified != X509_V_OK)
      result.detail = std::string("certificate: ") + X509_verify_cert_error_string(verified);
    co_return;
  }
  co_await exchange(secure, target, check, want_body, result);
}

bool uses_tls(const Policy::Endpoint& endpoint) {
  return endpoint.health.type == Policy::Health::Type::https || (endpoint.tls && !endpoint.discover.empty());
}

}  // namespace

CheckOutcome CheckResult::outcome() const {
  if (finding == CheckFinding::ok) return CheckOutcome::passed;
  if (connect_rtt) return CheckOutcome::failed;
  if (finding == CheckFinding::refused) return CheckOutcome::connect_refused;
  return finding == CheckFinding::timeout ? CheckOutcome::connect_timeout : CheckOutcome::failed;
}

boost::system::result<CheckTls, std::vector<std::string>> load_check_tls(const Policy& policy) {
  CheckTls out(policy.endpoints.size());
  std::vector<std::string> errors;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Policy::Endpoint& endpoint = policy.endpoints[i];
    if (!uses_tls(endpoint)) continue;
    auto loaded = router::TlsClient::load(endpoint.tls.value_or(Policy::EndpointTls{}));
    if (loaded)
      out[i] = std::move(*loaded);
    else
      errors.push_back("endpoints." + endpoint.name + ".tls: " + loaded.error().text());
  }
  if (!errors.empty()) return errors;
  return out;
}

asio::awaitable<CheckResult> check_endpoint(CheckTarget target, Policy::Health check,
                                            std::shared_ptr<const router::TlsClient> tls, bool want_body) {
  CheckResult result;
  const auto executor = co_await asio::this_coro::executor;
  beast::tcp_stream stream(executor);
  stream.expires_after(check.timeout);  // once: it bounds everything below
  const Instant began = monotonic_now();
  auto [error] = co_await stream.async_connect(socket_address(target), kAsTuple);
  if (error) {
    fail(result, error, CheckFinding::not_made);
    co_return result;
  }
  result.connect_rtt = monotonic_now() - began;
  switch (check.type) {
    case Policy::Health::Type::http:
      co_await exchange(stream, target, check, want_body, result);
      break;
    case Policy::Health::Type::https:
      co_await exchange_tls(stream, target, check, tls.get(), want_body, result);
      break;
    case Policy::Health::Type::tcp:
    case Policy::Health::Type::none:
      break;
  }
  co_return result;
}

}  // namespace perigee::gateway
