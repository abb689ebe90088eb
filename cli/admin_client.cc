#include "cli/admin_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <optional>

#include "perigee_version.h"

namespace perigee::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::uint64_t kMaxReply = 64U << 20U;  // links and endpoints at their limits make a few MiB

using Request = http::request<http::string_body>;

struct Authority {
  std::string host;
  std::string port;
};

std::optional<Authority> parse_base(std::string_view base) {
  constexpr std::string_view kScheme = "http://";
  if (!base.starts_with(kScheme)) return std::nullopt;
  base.remove_prefix(kScheme.size());
  if (base.ends_with('/')) base.remove_suffix(1);
  const std::size_t colon = base.ends_with(']') ? std::string_view::npos : base.rfind(':');
  std::string_view host = base.substr(0, colon);
  const std::string_view port = colon == std::string_view::npos ? "80" : base.substr(colon + 1);
  // An IPv6 address stands in brackets (RFC 3986 section 3.2.2).
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find_first_of("/@?# ") != std::string_view::npos) return std::nullopt;
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  return Authority{std::string(host), std::string(port)};
}

template <class Stream>
asio::awaitable<AdminReply> exchange(Stream& stream, Request& request) {
  co_await http::async_write(stream, request, asio::use_awaitable);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxReply);
  co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
  co_return AdminReply{parser.get().result_int(), std::move(parser.get().body())};
}

asio::awaitable<AdminReply> over_tcp(Authority authority, Request request,
                                     std::chrono::milliseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  asio::ip::tcp::resolver resolver(executor);
  const auto addresses = co_await resolver.async_resolve(authority.host, authority.port, asio::use_awaitable);
  beast::tcp_stream stream(executor);
  stream.expires_after(timeout);
  co_await stream.async_connect(addresses, asio::use_awaitable);
  co_return co_await exchange(stream, request);
}

asio::awaitable<AdminReply> over_unix(std::string path, Request request, std::chrono::milliseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  beast::basic_stream<asio::local::stream_protocol> stream(executor);
  stream.expires_after(timeout);
  co_await stream.async_connect(asio::local::stream_protocol::endpoint(path), asio::use_awaitable);
  co_return co_await exchange(stream, request);
}

Request request_to(http::verb method, const std::string& target, const std::string& host) {
  Request request(method, target, 11);
  request.set(http::field::host, host);
  request.set(http::field::user_agent, std::string("perigee/") + kVersion);
  request.keep_alive(false);
  return request;
}

// Runs the exchange to its end; its exceptions become the error's text.
Result<AdminReply> complete(asio::io_context& io, asio::awaitable<AdminReply> exchange,
                            const std::string& where) {
  AdminReply reply;
  std::string fault;
  asio::co_spawn(io, std::move(exchange), [&](const std::exception_ptr& thrown, AdminReply received) {
    try {
      if (thrown) std::rethrow_exception(thrown);
      reply = std::move(received);
    } catch (const boost::system::system_error& error) {
      fault = error.code() == beast::error::timeout ? "no answer in time" : error.code().message();
    } catch (const std::exception& error) {
      fault = error.what();
    }
  });
  io.run();
  if (!fault.empty()) return Error{where, fault};
  return reply;
}

}  // namespace

Result<AdminReply> admin_get(const std::string& base, const std::string& target,
                             std::chrono::milliseconds timeout) {
  const auto authority = parse_base(base);
  if (!authority) return Error{base, std::string("is no address such as ") + kDefaultAdmin};
  asio::io_context io(1);
  const std::string host = base.substr(std::string_view("http://").size());
  Request request = request_to(http::verb::get, target, host.substr(0, host.find('/')));
  auto reply = complete(io, over_tcp(*authority, std::move(request), timeout), base);
  if (reply) return reply;
  return Error{base, "cannot ask the gateway: " + reply.error().what +
                         "; is perigee-gateway running there? (--admin URL names another)"};
}

Result<AdminReply> admin_post(const std::string& socket_path, const std::string& target, std::string body,
                              std::chrono::milliseconds timeout) {
  asio::io_context io(1);
  Request request = request_to(http::verb::post, target, "localhost");
  request.set(http::field::content_type, "application/yaml");
  request.body() = std::move(body);
  request.prepare_payload();
  auto reply = complete(io, over_unix(socket_path, std::move(request), timeout), socket_path);
  if (reply) return reply;
  return Error{socket_path, "cannot ask the gateway: " + reply.error().what +
                                "; is perigee-gateway running, and may you use its socket? (--socket PATH "
                                "names another)"};
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      encoded += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    encoded.append({'%', kHex[octet >> 4U], kHex[octet & 15U]});
  }
  return encoded;
}

}  // namespace perigee::cli
