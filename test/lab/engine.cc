#include "test/lab/engine.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sstream>

namespace perigee::lab {
namespace asio = boost::asio;
namespace {

Engine::Clock::duration seconds(double value) {
  return std::chrono::duration_cast<Engine::Clock::duration>(std::chrono::duration<double>(value));
}

double seconds_since(Engine::Clock::time_point then) {
  return std::chrono::duration<double>(Engine::Clock::now() - then).count();
}

}  // namespace

void Histogram::add(double value) {
  const auto edge = std::lower_bound(edges_.begin(), edges_.end(), value);
  ++counts_[static_cast<std::size_t>(edge - edges_.begin())];
  sum_ += value;
}

std::string Histogram::text(const std::string& name, const std::string& help,
                            const std::string& labels) const {
  std::ostringstream out;
  out << "# HELP " << name << " " << help << "\n# TYPE " << name << " histogram\n";
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    below += counts_[i];
    out << name << "_bucket{" << labels << ",le=\"";
    if (i < edges_.size())
      out << edges_[i];
    else
      out << "+Inf";
    out << "\"} " << below << "\n";
  }
  out << name << "_sum{" << labels << "} " << sum_ << "\n"
      << name << "_count{" << labels << "} " << below << "\n";
  return out.str();
}

Engine::Engine(asio::any_io_executor executor, EngineConfig config)
    : executor_(std::move(executor)),
      config_(std::move(config)),
      first_token_({0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}),
      between_tokens_({0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5}),
      whole_request_({0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60}),
      queue_({0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60}),
      prefill_({0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60}),
      prompt_({1, 10, 100, 1000, 10'000, 100'000}) {}

Engine::Generation::Generation(Engine& engine, std::uint64_t prompt_tokens)
    : engine_(engine), prompt_tokens_(prompt_tokens) {}

Engine::Generation::~Generation() {
  if (running_) {
    engine_.kv_used_ -= prompt_tokens_ + tokens_;
    --engine_.running_;
  }
  engine_.call_next();
  ++(finished_ ? engine_.finished_ : engine_.aborted_);
  if (finished_) engine_.whole_request_.add(seconds_since(arrived_));
}

asio::awaitable<void> Engine::Generation::wait_for_slot() {
  if (engine_.running_ >= engine_.config_.slots || !engine_.waiting_.empty()) {
    auto& waiting = engine_.waiting_;
    const auto place = waiting.emplace(waiting.end(), engine_.executor_, Clock::time_point::max());
    // Leaves the queue when the coroutine is dropped while it waits, too.
    const auto leave = [&waiting](auto* at) { waiting.erase(*at); };
    auto position = place;
    const std::unique_ptr<decltype(position), decltype(leave)> left(&position, leave);
    boost::system::error_code called;
    co_await place->async_wait(asio::redirect_error(asio::use_awaitable, called));
    const auto cancelled = (co_await asio::this_coro::cancellation_state).cancelled();
    if (cancelled != asio::cancellation_type::none) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
  }
  ++engine_.running_;
  running_ = true;
  engine_.call_next();  // two slots may have become free at once
  engine_.kv_used_ += prompt_tokens_;
  engine_.queue_.add(seconds_since(arrived_));
}

asio::awaitable<void> Engine::Generation::first_token() {
  co_await wait_for_slot();
  const double prefill = static_cast<double>(prompt_tokens_) / engine_.config_.prefill_tokens_per_second;
  due_ = Clock::now() + seconds(prefill);
  asio::steady_timer timer(engine_.executor_, due_);
  co_await timer.async_wait(asio::use_awaitable);
  count_token();
  // As vLLM: when the prefill is over.
  engine_.prompt_tokens_ += prompt_tokens_;
  engine_.prompt_.add(static_cast<double>(prompt_tokens_));
  engine_.prefill_.add(prefill);
  engine_.first_token_.add(seconds_since(arrived_));
}

asio::awaitable<void> Engine::Generation::next_token() {
  const auto last = Clock::now();
  due_ += seconds(1 / engine_.config_.tokens_per_second);  // from the last due time: the pace is kept
  asio::steady_timer timer(engine_.executor_, due_);
  co_await timer.async_wait(asio::use_awaitable);
  count_token();
  engine_.between_tokens_.add(seconds_since(last));
}

void Engine::Generation::count_token() {
  ++tokens_;
  ++engine_.kv_used_;
  ++engine_.generated_tokens_;
}

void Engine::call_next() {
  if (running_ < config_.slots && !waiting_.empty()) waiting_.front().cancel();
}

void Engine::configure(EngineConfig config) {
  config_ = std::move(config);
  call_next();
}

std::string Engine::metrics() const {
  const std::string labels = "model_name=\"" + config_.model + "\"";
  std::ostringstream out;
  const auto one = [&](const char* name, const char* type, const char* help, double value) {
    out << "# HELP " << name << " " << help << "\n# TYPE " << name << " " << type << "\n"
        << name << "{" << labels << "} " << value << "\n";
  };
  const double kv = static_cast<double>(kv_used_) / static_cast<double>(config_.kv_tokens);
  one("vllm:num_requests_running", "gauge", "Requests in a slot.", running_);
  one("vllm:num_requests_waiting", "gauge", "Requests in the queue.", static_cast<double>(waiting_.size()));
  one("vllm:kv_cache_usage_perc", "gauge", "KV cache use, 1 is all.", std::min(kv, 1.0));
  one("vllm:gpu_cache_usage_perc", "gauge", "KV cache use under its older name.", std::min(kv, 1.0));
  one("vllm:prompt_tokens_total", "counter", "Prefill tokens.", static_cast<double>(prompt_tokens_));
  one("vllm:generation_tokens_total", "counter", "Generated tokens.", static_cast<double>(generated_tokens_));
  out << "# HELP vllm:request_success_total Requests by how they ended.\n"
      << "# TYPE vllm:request_success_total counter\n"
      << "vllm:request_success_total{" << labels << ",finished_reason=\"length\"} " << finished_ << "\n"
      << "vllm:request_success_total{" << labels << ",finished_reason=\"abort\"} " << aborted_ << "\n";
  out << first_token_.text("vllm:time_to_first_token_seconds", "Time to the first token.", labels)
      << between_tokens_.text("vllm:inter_token_latency_seconds", "Time between tokens.", labels)
      << whole_request_.text("vllm:e2e_request_latency_seconds", "Time of a whole request.", labels)
      << queue_.text("vllm:request_queue_time_seconds", "Time in the queue.", labels)
      << prefill_.text("vllm:request_prefill_time_seconds", "Time of the prefill.", labels)
      << prompt_.text("vllm:request_prompt_tokens", "Prefill tokens of a request.", labels);
  return out.str();
}

}  // namespace perigee::lab
