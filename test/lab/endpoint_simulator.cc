// endpoint_simulator: an inference endpoint without a GPU. Speaks the OpenAI API as vLLM does, plain and as a
// stream of server-sent events, at a configured pace, and exports vLLM's load metrics. Every answer names the
// endpoint in `x-endpoint`. PUT /pace with {"slots": 1, "prefill": 2000, "rate": 20}, or some of it, changes
// the pace while it runs. The request's journey is serve() below.
#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/program_options.hpp>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include "test/lab/engine.h"
#include "test/lab/openai_shape.h"

namespace perigee::lab {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace options = boost::program_options;
using asio::use_awaitable;
using asio::ip::tcp;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

constexpr std::uint64_t kMaxBody = 8U << 20U;  // a long context, four characters a token
constexpr std::size_t kMaxKept = 1024;         // responses that can be asked for again
constexpr double kMostPace = 1e9;

struct Answer {
  http::status status = http::status::ok;
  std::string body;
  std::string type = "application/json";
};

Answer failure(http::status status, const Error& error) {
  return {status, error_body(error, static_cast<unsigned>(status))};
}

// Of a request that cannot be served as it is.
Answer refusal(const Error& error) {
  return failure(error.where == "NotFoundError" ? http::status::not_found : http::status::bad_request, error);
}

bool valid(const EngineConfig& config) {
  return config.slots > 0 && config.prefill_tokens_per_second > 0 && config.tokens_per_second > 0;
}

// `config` with what `body` says of it; nullopt: it says something else.
std::optional<EngineConfig> paced(EngineConfig config, const std::string& body) {
  boost::system::error_code bad;
  const boost::json::value said = boost::json::parse(body, bad);
  if (bad || !said.is_object()) return std::nullopt;
  for (const auto& [name, value] : said.get_object()) {
    const auto number = value.to_number<double>(bad);
    if (bad || !(number > 0) || number > kMostPace) return std::nullopt;
    if (name == "slots")
      config.slots = static_cast<unsigned>(number);
    else if (name == "prefill")
      config.prefill_tokens_per_second = number;
    else if (name == "rate")
      config.tokens_per_second = number;
    else
      return std::nullopt;
  }
  return valid(config) ? std::optional(config) : std::nullopt;
}

constexpr std::string_view kResponse = "/v1/responses/";

const Error kNotFound{"NotFoundError", "Not Found"};

constexpr std::array kPaths = {std::pair<std::string_view, Api>{"/v1/completions", Api::completions},
                               std::pair<std::string_view, Api>{"/v1/chat/completions", Api::chat},
                               std::pair<std::string_view, Api>{"/v1/responses", Api::responses}};
constexpr std::array kIdPrefixes = {"cmpl-", "chatcmpl-", "resp_"};  // by Api

std::int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Ends when the client has closed or reset the connection; bytes of a next request are left alone.
asio::awaitable<void> client_gone(tcp::socket& socket) {
  for (;;) {
    boost::system::error_code error;
    co_await socket.async_wait(tcp::socket::wait_read, asio::redirect_error(use_awaitable, error));
    std::array<char, 1> octet;
    if (!error) socket.receive(asio::buffer(octet), tcp::socket::message_peek, error);
    if (error) co_return;
    // A pipelined request: readable for as long as we generate, so only time can end the wait.
    asio::steady_timer never(co_await asio::this_coro::executor, std::chrono::hours(24));
    co_await never.async_wait(use_awaitable);
  }
}

class Server {
 public:
  Server(Engine& engine, std::string name) : engine_(engine), name_(std::move(name)) {}

  asio::awaitable<void> listen(tcp::acceptor acceptor) {
    for (;;) {
      tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
      asio::co_spawn(acceptor.get_executor(), session(std::move(socket)), asio::detached);
    }
  }

 private:
  asio::awaitable<void> session(tcp::socket socket) {
    try {
      socket.set_option(tcp::no_delay(true));
      boost::beast::flat_buffer buffer;
      for (bool keep = true; keep;) {
        http::request_parser<http::string_body> parser;
        parser.body_limit(kMaxBody);
        co_await http::async_read(socket, buffer, parser, use_awaitable);
        keep = co_await serve(socket, parser.release());
      }
      socket.shutdown(tcp::socket::shutdown_send);
    } catch (const boost::system::system_error&) {
      // The client went away or does not speak HTTP: the connection ends, nothing else does.
    }
  }

  // Answers one request; whether the connection goes on.
  asio::awaitable<bool> serve(tcp::socket& socket, Request request) {
    const std::variant<Answer, CompletionRequest> decided = decide(request);
    if (const auto* answer = std::get_if<Answer>(&decided))
      co_return co_await reply(socket, request, *answer);
    co_return co_await complete(socket, request, std::get<CompletionRequest>(decided));
  }

  std::variant<Answer, CompletionRequest> decide(const Request& request) {
    const std::string target(request.target().substr(0, request.target().find('?')));
    const std::string& model = engine_.config().model;
    if (request.method() == http::verb::get) {
      if (target == "/health") return Answer{http::status::ok, "", "text/plain"};
      if (target == "/v1/models") return Answer{http::status::ok, models_body(model, started_)};
      if (target == "/metrics") {
        return Answer{http::status::ok, engine_.metrics(), "text/plain; version=0.0.4; charset=utf-8"};
      }
    }
    if (request.method() == http::verb::put && target == "/pace") {
      auto config = paced(engine_.config(), request.body());
      if (!config) return refusal({"invalid_request_error", "no such pace"});
      engine_.configure(*std::move(config));
      return Answer{};
    }
    if (target.starts_with(kResponse) && request.method() != http::verb::post)
      return kept_response(request.method(), target.substr(kResponse.size()));
    if (request.method() != http::verb::post) return failure(http::status::not_found, kNotFound);
    if (target == "/v1/embeddings") {
      auto vectors = embeddings_body(request.body(), model);
      if (!vectors) return refusal(vectors.error());
      return Answer{http::status::ok, std::move(*vectors)};
    }
    const auto api =
        std::find_if(kPaths.begin(), kPaths.end(), [&](const auto& row) { return row.first == target; });
    if (api == kPaths.end()) return failure(http::status::not_found, kNotFound);
    auto asked = read_completion(request.body(), api->second, model);
    if (!asked) return refusal(asked.error());
    const std::string& previous = asked->previous_response;
    if (!previous.empty() && kept_.count(previous) == 0) return unknown_response(previous);
    if (engine_.full()) {
      return failure(http::status::service_unavailable, {"ServiceUnavailableError", "the queue is full"});
    }
    return *asked;
  }

  // Of this engine alone: no other one knows its ids.
  Answer kept_response(http::verb method, const std::string& id) {
    const auto found = kept_.find(id);
    if (found == kept_.end()) return unknown_response(id);
    if (method == http::verb::get) return {http::status::ok, found->second};
    if (method != http::verb::delete_) return failure(http::status::not_found, kNotFound);
    kept_.erase(found);
    return {http::status::ok, R"({"id":")" + id + R"(","object":"response","deleted":true})"};
  }

  static Answer unknown_response(const std::string& id) {
    return failure(http::status::not_found, {"NotFoundError", "Response with id '" + id + "' not found."});
  }

  void keep(const Completion& completion, std::uint64_t tokens) {
    if (completion.request.api != Api::responses) return;
    kept_[completion.id] = completion.whole(tokens);
    kept_order_.push_back(completion.id);
    if (kept_order_.size() <= kMaxKept) return;
    kept_.erase(kept_order_.front());
    kept_order_.pop_front();
  }

  // A client that goes away ends the generation and frees its slot.
  asio::awaitable<bool> complete(tcp::socket& socket, const Request& request,
                                 const CompletionRequest& asked) {
    using asio::experimental::awaitable_operators::operator||;
    const Completion completion{
        .id = kIdPrefixes[static_cast<std::size_t>(asked.api)] + name_ + "-" + std::to_string(++last_id_),
        .model = engine_.config().model,
        .created = now_seconds(),
        .request = asked};
    const auto outcome = co_await (generate(socket, request, completion) || client_gone(socket));
    co_return outcome.index() == 0 && std::get<0>(outcome);
  }

  asio::awaitable<bool> generate(tcp::socket& socket, const Request& request, const Completion& completion) {
    try {
      Engine::Generation generation(engine_, completion.request.prompt_tokens);
      co_await generation.first_token();
      if (completion.request.stream)
        co_await stream(socket, request, completion, generation);
      else {
        while (generation.tokens() < completion.request.max_tokens) co_await generation.next_token();
        const Answer answer{http::status::ok, completion.whole(generation.tokens())};
        co_await reply(socket, request, answer);
      }
      generation.finished();
      keep(completion, generation.tokens());
      co_return request.keep_alive();
    } catch (const boost::system::system_error&) {
      co_return false;  // the client is gone: operator|| waits for a result, not for an exception
    }
  }

  asio::awaitable<void> stream(tcp::socket& socket, const Request& request, const Completion& completion,
                               Engine::Generation& generation) {
    http::response<http::empty_body> response(http::status::ok, 11);
    head(response, request, "text/event-stream; charset=utf-8");
    response.set(http::field::cache_control, "no-cache");
    response.chunked(true);
    http::response_serializer<http::empty_body> serializer(response);
    co_await http::async_write_header(socket, serializer, use_awaitable);
    std::string event = completion.opening() + completion.token(1);
    while (true) {
      const bool last = generation.tokens() == completion.request.max_tokens;
      if (last) event += completion.closing(generation.tokens());
      co_await asio::async_write(socket, http::make_chunk(asio::buffer(event)), use_awaitable);
      if (last) break;
      co_await generation.next_token();
      event = completion.token(generation.tokens());
    }
    co_await asio::async_write(socket, http::make_chunk_last(), use_awaitable);
  }

  template <class Message>
  void head(Message& response, const Request& request, const std::string& type) {
    response.set(http::field::server, "perigee-endpoint-simulator");
    response.set(http::field::content_type, type);
    response.set("x-endpoint", name_);
    response.keep_alive(request.keep_alive());
  }

  asio::awaitable<bool> reply(tcp::socket& socket, const Request& request, const Answer& answer) {
    Response response(answer.status, 11);
    head(response, request, answer.type);
    response.body() = answer.body;
    response.prepare_payload();
    co_await http::async_write(socket, response, use_awaitable);
    co_return request.keep_alive();
  }

  Engine& engine_;
  std::string name_;
  std::int64_t started_ = now_seconds();
  std::uint64_t last_id_ = 0;
  std::map<std::string, std::string> kept_;  // responses by id
  std::deque<std::string> kept_order_;       // oldest first, deleted ones too
};

int run(int argc, char** argv) {
  EngineConfig config;
  std::string address, name;
  std::uint16_t port = 0;
  options::options_description known("endpoint_simulator");
  known.add_options()("help", "this text")("name", options::value(&name)->required(), "value of x-endpoint")(
      "address", options::value(&address)->default_value("0.0.0.0"), "to listen on")(
      "port", options::value(&port)->default_value(8000), "to listen on; 0: any, printed at the start")(
      "model", options::value(&config.model)->default_value(config.model), "the model it serves")(
      "slots", options::value(&config.slots)->default_value(config.slots), "requests generated at once")(
      "max-waiting", options::value(&config.max_waiting)->default_value(config.max_waiting),
      "requests that may wait for a slot")(
      "prefill",
      options::value(&config.prefill_tokens_per_second)->default_value(config.prefill_tokens_per_second),
      "prompt tokens a second")(
      "rate", options::value(&config.tokens_per_second)->default_value(config.tokens_per_second),
      "generated tokens a second, each request");
  options::variables_map values;
  options::store(options::parse_command_line(argc, argv, known), values);
  if (values.count("help") != 0) {
    std::cout << known;
    return 0;
  }
  options::notify(values);
  if (!valid(config)) throw std::invalid_argument("slots, prefill and rate must be above 0");
  asio::io_context context(1);
  Engine engine(context.get_executor(), config);
  Server server(engine, name);
  tcp::acceptor acceptor(context, {asio::ip::make_address(address), port});
  std::cout << "ready on port " << acceptor.local_endpoint().port() << std::endl;
  asio::co_spawn(context, server.listen(std::move(acceptor)), asio::detached);
  asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&context](const boost::system::error_code&, int) { context.stop(); });
  context.run();
  return 0;
}

}  // namespace
}  // namespace perigee::lab

int main(int argc, char** argv) {
  try {
    return perigee::lab::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "endpoint_simulator: " << error.what() << "\n";
    return 2;
  }
}
