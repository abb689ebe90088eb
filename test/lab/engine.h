// The pretended inference engine: slots, a queue before them, the pace of prefill and decode, and the load
// metrics under vLLM's names. One thread; no HTTP here.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace perigee::lab {

struct EngineConfig {
  std::string model = "lab-model";
  unsigned slots = 64;                       // requests generated at once
  unsigned max_waiting = 1024;               // more are answered 503; bounds memory
  double prefill_tokens_per_second = 20000;  // of one request
  double tokens_per_second = 50;             // of one request
  std::uint64_t kv_tokens = 200'000;         // what the pretended KV cache holds
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> edges) : edges_(std::move(edges)), counts_(edges_.size() + 1) {}
  void add(double value);
  [[nodiscard]] std::string text(const std::string& name, const std::string& help,
                                 const std::string& labels) const;

 private:
  std::vector<double> edges_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

class Engine {
 public:
  using Clock = std::chrono::steady_clock;

  // A request on its way through the engine; its end, wherever it comes, frees the slot.
  class Generation {
   public:
    Generation(Engine& engine, std::uint64_t prompt_tokens);
    Generation(const Generation&) = delete;
    Generation& operator=(const Generation&) = delete;
    ~Generation();

    // Waits for a slot, then through prefill and the first token's step.
    boost::asio::awaitable<void> first_token();
    boost::asio::awaitable<void> next_token();
    // It ended by itself; without this it counts as aborted.
    void finished() { finished_ = true; }
    [[nodiscard]] std::uint64_t tokens() const { return tokens_; }
    [[nodiscard]] std::uint64_t prompt_tokens() const { return prompt_tokens_; }

   private:
    boost::asio::awaitable<void> wait_for_slot();
    void count_token();

    Engine& engine_;
    std::uint64_t prompt_tokens_;
    std::uint64_t tokens_ = 0;
    Clock::time_point arrived_ = Clock::now(), due_;
    bool running_ = false, finished_ = false;
  };

  Engine(boost::asio::any_io_executor executor, EngineConfig config);

  [[nodiscard]] const EngineConfig& config() const { return config_; }
  // From the next prefill and token on. Fewer slots than run: as many end first.
  void configure(EngineConfig config);
  [[nodiscard]] bool full() const { return waiting_.size() >= config_.max_waiting; }
  [[nodiscard]] std::string metrics() const;  // Prometheus text format 0.0.4

 private:
  void call_next();

  boost::asio::any_io_executor executor_;
  EngineConfig config_;
  unsigned running_ = 0;
  std::list<boost::asio::steady_timer> waiting_;  // oldest first; cancelled: your turn
  std::uint64_t kv_used_ = 0;
  std::uint64_t prompt_tokens_ = 0, generated_tokens_ = 0, finished_ = 0, aborted_ = 0;
  Histogram first_token_, between_tokens_, whole_request_;
  Histogram queue_, prefill_, prompt_;
};

}  // namespace perigee::lab
