#include "gateway/admin_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <cstring>
#include <exception>
#include <utility>

#include "gateway/spawned.h"

namespace perigee::gateway {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using local = asio::local::stream_protocol;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptPause{100};  // out of descriptors: do not spin
constexpr std::chrono::seconds kLingerTime{1};
constexpr std::size_t kLingerOctets = 2U << 20U;  // a body at its limit, and then some
constexpr mode_t kSocketMode = 0660;

// Counts an open connection for as long as it lives.
class Admission {
 public:
  explicit Admission(std::shared_ptr<std::size_t> count) : count_(std::move(count)) { ++*count_; }
  Admission(Admission&& other) noexcept = default;
  Admission& operator=(Admission&&) = delete;
  ~Admission() {
    if (count_) --*count_;
  }

 private:
  std::shared_ptr<std::size_t> count_;
};

AdminResponse plain_error(unsigned status, const std::string& what) {
  return AdminResponse{status, "application/json", "{\"error\":\"" + what + "\"}", ""};
}

std::string_view host_without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end == std::string_view::npos ? std::string_view{} : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

// A page on the web can make a browser send requests here under a name that it controls, but not under an
// address literal or "localhost": so those, and of the addresses only loopback and the one connected to.
bool host_allowed(std::string_view host_field, const asio::ip::address& connected_to) {
  const std::string_view host = host_without_port(host_field);
  if (beast::iequals(host, "localhost")) return true;
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(std::string(host), error);
  return !error && (address.is_loopback() || address == connected_to);
}

PeerCredentials credentials_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {-1, uid_t(-1), gid_t(-1)};
  return {credentials.pid, credentials.uid, credentials.gid};
}

// How to answer a request that could not be read, or nothing when the peer just went or was too slow.
std::optional<AdminResponse> answer_to_bad_request(const boost::system::error_code& error) {
  if (error == http::error::end_of_stream || error == beast::error::timeout) return std::nullopt;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return plain_error(431, "the request header is too large");
  }
  if (error == http::error::body_limit) return plain_error(413, "the request body is too large");
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return plain_error(400, "malformed request");
  }
  return std::nullopt;
}

template <class Body>
http::response<Body> response_head(const AdminResponse& answer, unsigned version, bool keep_alive) {
  http::response<Body> response{static_cast<http::status>(answer.status), version};
  response.set(http::field::server, "perigee-gateway");
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  if (!answer.allow.empty()) response.set(http::field::allow, answer.allow);
  response.keep_alive(keep_alive);
  return response;
}

}  // namespace

struct AdminServer::State {
  asio::io_context& io;
  AdminHandler handler;
  const Log& log;
  AdminLimits limits;
  std::optional<tcp::acceptor> tcp_acceptor;
  std::optional<local::acceptor> unix_acceptor;
  std::string unix_path;
  bool closed = false;
  std::shared_ptr<std::size_t> tcp_connections = std::make_shared<std::size_t>(0);
  std::shared_ptr<std::size_t> unix_connections = std::make_shared<std::size_t>(0);
};

namespace {

// Where a connection came from.
struct Origin {
  std::optional<PeerCredentials> peer;  // over the Unix socket
  asio::ip::address connected_to;       // over TCP
};

Origin origin_of(local::socket& socket) { return {credentials_of(socket.native_handle()), {}}; }
Origin origin_of(tcp::socket& socket) {
  boost::system::error_code error;
  return {std::nullopt, socket.local_endpoint(error).address()};
}

// One connection: what is read, who asks, and what is sent, top to bottom.
template <class State>
class Session {
 public:
  Session(std::shared_ptr<State> state, asio::generic::stream_protocol::socket socket, Origin origin,
          Admission admission)
      : state_(std::move(state)),
        stream_(std::move(socket)),
        origin_(std::move(origin)),
        admission_(std::move(admission)) {}

  static asio::awaitable<void> run(std::unique_ptr<Session> self) {
    bool more = true;
    while (more) more = co_await self->serve_one();
    co_await self->linger();
  }

 private:
  [[nodiscard]] bool may_change() const { return origin_.peer.has_value(); }

  asio::awaitable<bool> serve_one() {
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(state_->limits.header_octets));
    if (may_change()) {
      parser.body_limit(state_->limits.body_octets);
    } else {
      parser.body_limit(boost::none);  // it is never read
    }
    stream_.expires_after(state_->limits.timeout);
    boost::system::error_code error = co_await read(parser);
    if (error) {
      const auto answer = answer_to_bad_request(error);
      if (answer) co_await send(*answer, 11, false, false);
      co_return false;
    }
    auto& request = parser.get();
    const unsigned version = request.version();
    const bool keep_alive = request.keep_alive() && parser.is_done();
    const bool head = request.method() == http::verb::head;
    stream_.expires_never();  // the handler has its own bounds
    const AdminResponse answer = co_await respond(request);
    stream_.expires_after(state_->limits.timeout);
    co_return co_await send(answer, version, keep_alive, head);
  }

  // On TCP only the header: nothing there takes a body, and one that comes ends the connection.
  asio::awaitable<boost::system::error_code> read(http::request_parser<http::string_body>& parser) {
    auto [error, size] = co_await http::async_read_header(stream_, buffer_, parser, kAsTuple);
    if (error || !may_change()) co_return error;
    // RFC 9110 section 10.1.1: the client waits for this before it sends the body.
    if (beast::iequals(parser.get()[http::field::expect], "100-continue") && !parser.is_done()) {
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      auto [failed, written] = co_await asio::async_write(stream_, asio::buffer(kContinue), kAsTuple);
      if (failed) co_return failed;
    }
    auto [failed, octets] = co_await http::async_read(stream_, buffer_, parser, kAsTuple);
    co_return failed;
  }

  asio::awaitable<AdminResponse> respond(http::request<http::string_body>& request) {
    if (auto refused = refuse_host(request)) co_return *refused;
    AdminRequest plain{std::string(request.method_string()), std::string(request.target()),
                       std::move(request.body()), origin_.peer};
    std::string failure;
    try {
      auto work = state_->handler(std::move(plain));
      AdminResponse answer = co_await std::move(work);
      co_return answer;
    } catch (const std::exception& thrown) {
      failure = thrown.what();
    }
    state_->log.write(LogLevel::error, "admin_failed", {{"reason", failure}});
    co_return plain_error(500, "internal error");
  }

  std::optional<AdminResponse> refuse_host(const http::request<http::string_body>& request) {
    if (may_change()) return std::nullopt;  // no browser reaches a Unix socket
    const auto fields = request.equal_range(http::field::host);
    // RFC 9112 section 3.2: none or two is a bad request.
    if (fields.first == fields.second || std::next(fields.first) != fields.second) {
      return plain_error(400, "exactly one Host field is needed");
    }
    if (host_allowed(fields.first->value(), origin_.connected_to)) return std::nullopt;
    return plain_error(421, "Host must be localhost or the address of this listener");
  }

  asio::awaitable<bool> send(const AdminResponse& answer, unsigned version, bool keep_alive, bool head) {
    if (head) {
      auto response = response_head<http::empty_body>(answer, version, keep_alive);
      response.content_length(answer.body.size());
      auto [error, size] = co_await http::async_write(stream_, response, kAsTuple);
      co_return !error && keep_alive;
    }
    auto response = response_head<http::string_body>(answer, version, keep_alive);
    response.body() = answer.body;
    response.prepare_payload();
    auto [error, size] = co_await http::async_write(stream_, response, kAsTuple);
    co_return !error && keep_alive;
  }

  // Closing with octets unread would reset the connection, and the peer could lose the answer: take what is
  // on its way, within limits.
  asio::awaitable<void> linger() {
    boost::system::error_code error;
    stream_.socket().shutdown(asio::socket_base::shutdown_send, error);
    stream_.expires_after(kLingerTime);
    std::string piece(16U << 10U, '\0');
    for (std::size_t taken = 0; !error && taken < kLingerOctets;) {
      auto [failed, size] = co_await stream_.async_read_some(asio::buffer(piece), kAsTuple);
      error = failed;
      taken += size;
    }
  }

  std::shared_ptr<State> state_;
  beast::basic_stream<asio::generic::stream_protocol> stream_;  // of both kinds: Beast is compiled once
  Origin origin_;
  Admission admission_;
  beast::flat_buffer buffer_{16U << 10U};  // a header at its limit, and a piece of body
};

template <class State, class Acceptor>
asio::awaitable<void> accept_all(std::shared_ptr<State> state, Acceptor& acceptor,
                                 std::shared_ptr<std::size_t> connections) {
  while (acceptor.is_open()) {
    auto [error, socket] = co_await acceptor.async_accept(kAsTuple);
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {
      asio::steady_timer pause(state->io, kAcceptPause);
      co_await pause.async_wait(kAsTuple);
      continue;
    }
    if (*connections >= state->limits.connections) {
      state->log.write(LogLevel::warning, "admin_connections_full", {{"limit", state->limits.connections}});
      continue;  // closes it
    }
    Origin origin = origin_of(socket);
    auto session =
        std::make_unique<Session<State>>(state, std::move(socket), std::move(origin), Admission(connections));
    asio::co_spawn(state->io, Session<State>::run(std::move(session)), OrLog(state->log, "admin session"));
  }
}

Result<tcp::endpoint> parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return Error{text, "an address and a port are needed, as 127.0.0.1:8620"};
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(host, error);
  if (error || parsed.ec != std::errc{} || parsed.ptr != end) {
    return Error{text, "not an address and port, as 127.0.0.1:8620"};
  }
  return tcp::endpoint{address, port};
}

// Why the socket file is not ours to remove, or nothing: a dead process left it (unix(7): connection
// refused).
std::string why_taken(asio::io_context& io, const std::string& path) {
  local::socket probe(io);
  boost::system::error_code error;
  probe.connect(local::endpoint(path), error);
  if (!error) return "another process serves this socket";
  if (error == asio::error::connection_refused) return {};
  return "is there already, and it is not known whether a process serves it: " + error.message();
}

}  // namespace

AdminServer::AdminServer(asio::io_context& io, AdminHandler handler, const Log& log, AdminLimits limits)
    : state_(std::make_shared<State>(State{io, std::move(handler), log, limits, {}, {}, {}})) {}

AdminServer::~AdminServer() { close(); }

Result<void> AdminServer::listen_tcp(const std::string& address_and_port) {
  if (state_->tcp_acceptor) return {};
  const auto endpoint = parse_endpoint(address_and_port);
  if (!endpoint) return endpoint.error();
  boost::system::error_code error;
  tcp::acceptor acceptor(state_->io);
  acceptor.open(endpoint->protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(*endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return Error{address_and_port, "cannot listen: " + error.message()};
  state_->tcp_acceptor.emplace(std::move(acceptor));
  asio::co_spawn(state_->io, accept_all<State>(state_, *state_->tcp_acceptor, state_->tcp_connections),
                 kOrEnd);
  return {};
}

Result<void> AdminServer::listen_unix(const std::string& path) {
  if (state_->unix_acceptor) return {};
  if (path.size() >= sizeof(sockaddr_un::sun_path)) return Error{path, "the socket's path is too long"};
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return Error{path, "is there already, and no socket"};
    if (std::string why = why_taken(state_->io, path); !why.empty()) return Error{path, std::move(why)};
    ::unlink(path.c_str());
  }
  boost::system::error_code error;
  local::acceptor acceptor(state_->io);
  acceptor.open(local(), error);
  // On Linux the file takes the descriptor's mode, so it is never wider than this, whatever the umask.
  if (!error) ::fchmod(acceptor.native_handle(), kSocketMode);
  if (!error) acceptor.bind(local::endpoint(path), error);
  if (!error && ::chmod(path.c_str(), kSocketMode) != 0)
    error.assign(errno, boost::system::system_category());
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return Error{path, "cannot listen: " + error.message()};
  state_->unix_acceptor.emplace(std::move(acceptor));
  state_->unix_path = path;
  asio::co_spawn(state_->io, accept_all<State>(state_, *state_->unix_acceptor, state_->unix_connections),
                 kOrEnd);
  return {};
}

std::uint16_t AdminServer::tcp_port() const {
  return state_->tcp_acceptor ? state_->tcp_acceptor->local_endpoint().port() : 0;
}

bool AdminServer::closed() const { return state_->closed; }

void AdminServer::close() {
  state_->closed = true;
  boost::system::error_code ignored;
  if (state_->tcp_acceptor) state_->tcp_acceptor->close(ignored);
  if (state_->unix_acceptor && state_->unix_acceptor->is_open()) {
    state_->unix_acceptor->close(ignored);
    ::unlink(state_->unix_path.c_str());
  }
}

}  // namespace perigee::gateway
