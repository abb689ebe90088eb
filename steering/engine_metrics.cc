#include "steering/engine_metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace perigee {
namespace {

enum Meaning : std::uint8_t {
  waiting,
  running,
  kv_use,
  prompt_total,
  generation_total,
  lengths_sum,
  lengths_count,
  queue_sum,
  queue_count,
  prefill_sum,
  prefill_count,
  meanings
};

struct Row {
  std::string_view name;
  Engine engine;
  Meaning meaning;
  // Of several names of one meaning the one with the least rank counts: a later one is older, or says less.
  std::uint8_t rank = 0;
  std::string_view label{};  // the series that have this value of it; empty: all
  std::string_view value{};
};

constexpr std::size_t kEngines = 6;
constexpr std::size_t kRanks = 2;
constexpr std::array<const char*, kEngines> kEngineNames = {"vllm",          "sglang",    "trtllm-serve",
                                                            "triton-trtllm", "llama.cpp", "nim"};

// THE TABLE. SGLang exports nothing without --enable-metrics, llama.cpp nothing without --metrics;
// trtllm-serve has this page at /prometheus/metrics, NIM at /v1/metrics. llama.cpp counts no requests.
constexpr auto kTable = [] {
  using enum Engine;
  auto rows = std::to_array<Row>({
      {"vllm:num_requests_waiting", vllm, waiting},
      {"vllm:num_requests_running", vllm, running},
      {"vllm:kv_cache_usage_perc", vllm, kv_use},
      {"vllm:gpu_cache_usage_perc", vllm, kv_use, 1},  // its older name
      {"vllm:prompt_tokens_total", vllm, prompt_total},
      {"vllm:generation_tokens_total", vllm, generation_total},
      {"vllm:request_prompt_tokens_sum", vllm, lengths_sum},
      {"vllm:request_prompt_tokens_count", vllm, lengths_count},
      {"vllm:request_queue_time_seconds_sum", vllm, queue_sum},
      {"vllm:request_queue_time_seconds_count", vllm, queue_count},
      {"vllm:request_prefill_time_seconds_sum", vllm, prefill_sum},
      {"vllm:request_prefill_time_seconds_count", vllm, prefill_count},

      {"sglang:num_queue_reqs", sglang, waiting},
      {"sglang:num_running_reqs", sglang, running},
      {"sglang:token_usage", sglang, kv_use},
      // The older totals move only when a request is over.
      {"sglang:realtime_tokens_total", sglang, prompt_total, 0, "mode", "prefill_compute"},
      {"sglang:realtime_tokens_total", sglang, prompt_total, 0, "mode", "prefill_cache"},
      {"sglang:prompt_tokens_total", sglang, prompt_total, 1},
      {"sglang:realtime_tokens_total", sglang, generation_total, 0, "mode", "decode"},
      {"sglang:generation_tokens_total", sglang, generation_total, 1},
      {"sglang:prompt_tokens_histogram_sum", sglang, lengths_sum},
      {"sglang:prompt_tokens_histogram_count", sglang, lengths_count},
      {"sglang:prompt_tokens_total", sglang, lengths_sum, 1},
      {"sglang:num_requests_total", sglang, lengths_count, 1},
      {"sglang:queue_time_seconds_sum", sglang, queue_sum},
      {"sglang:queue_time_seconds_count", sglang, queue_count},

      {"trtllm_num_requests_waiting", trtllm_serve, waiting},
      {"trtllm_num_requests_running", trtllm_serve, running},
      {"trtllm_kv_cache_utilization", trtllm_serve, kv_use},
      {"trtllm_prompt_tokens_total", trtllm_serve, prompt_total},
      {"trtllm_generation_tokens_total", trtllm_serve, generation_total},
      {"trtllm_prompt_tokens_total", trtllm_serve, lengths_sum},
      {"trtllm_request_success_total", trtllm_serve, lengths_count},
      {"trtllm_request_queue_time_seconds_sum", trtllm_serve, queue_sum},
      {"trtllm_request_queue_time_seconds_count", trtllm_serve, queue_count},
      {"trtllm_request_prefill_time_seconds_sum", trtllm_serve, prefill_sum},
      {"trtllm_request_prefill_time_seconds_count", trtllm_serve, prefill_count},

      {"nv_trt_llm_request_metrics", triton_trtllm, waiting, 0, "request_type", "waiting"},
      {"nv_trt_llm_request_metrics", triton_trtllm, running, 0, "request_type", "scheduled"},
      {"nv_trt_llm_kv_cache_block_metrics", triton_trtllm, kv_use, 0, "kv_cache_block_type", "fraction"},
      {"nv_llm_input_token_len_sum", triton_trtllm, prompt_total},
      {"nv_llm_output_token_len_sum", triton_trtllm, generation_total},
      {"nv_llm_input_token_len_sum", triton_trtllm, lengths_sum},
      {"nv_llm_input_token_len_count", triton_trtllm, lengths_count},

      {"llamacpp:requests_deferred", llama_cpp, waiting},
      {"llamacpp:requests_processing", llama_cpp, running},
      {"llamacpp:kv_cache_usage_ratio", llama_cpp, kv_use},  // older builds
      {"llamacpp:prompt_tokens_total", llama_cpp, prompt_total},
      {"llamacpp:tokens_predicted_total", llama_cpp, generation_total},

      {"num_requests_waiting", nim, waiting},
      {"num_requests_running", nim, running},
      {"gpu_cache_usage_perc", nim, kv_use},
      {"prompt_tokens_total", nim, prompt_total},
      {"generation_tokens_total", nim, generation_total},
      {"request_prompt_tokens_sum", nim, lengths_sum},
      {"request_prompt_tokens_count", nim, lengths_count},
  });
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.name < b.name; });
  return rows;
}();

struct Sum {
  double value = 0;
  std::uint32_t series = 0;
};

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

// Labels in braces, from the first on. A value is compared as it is written: none that is looked for needs an
// escape.
class Labels {
 public:
  // `text` begins with the brace, or has no labels.
  explicit Labels(std::string_view text) : rest_(text) {
    if (rest_.starts_with('{')) {
      rest_.remove_prefix(1);
      scan();
    } else {
      whole_ = true;
    }
  }

  [[nodiscard]] bool whole() const { return whole_; }  // the closing brace was found, after proper labels
  [[nodiscard]] std::string_view after() const { return rest_; }
  // Whether the series is one of those that a row asks for.
  [[nodiscard]] bool has(const Row& row) const {
    const auto end = labels_.begin() + count_;
    return row.label.empty() || std::find(labels_.begin(), end, std::pair(row.label, row.value)) != end;
  }
  // A series that repeats what another one has: all ranks of one tensor or pipeline group have the same
  // queue, and SGLang gives each priority's share beside the whole, whose priority is empty.
  [[nodiscard]] bool repeats() const { return repeats_; }

 private:
  static constexpr std::size_t kMax = 16;  // looked at; no engine has as many

  void scan() {
    while (true) {
      rest_ = without_blanks(rest_);
      if (rest_.starts_with(',')) {
        rest_.remove_prefix(1);
        continue;
      }
      if (rest_.starts_with('}')) {
        rest_.remove_prefix(1);
        whole_ = true;
        return;
      }
      if (!one()) return;
    }
  }

  bool one() {
    const std::size_t equals = rest_.find_first_of("=\"}");
    if (equals == std::string_view::npos || rest_[equals] != '=') return false;
    std::string_view name = rest_.substr(0, equals);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    rest_ = without_blanks(rest_.substr(equals + 1));
    if (!rest_.starts_with('"')) return false;
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return false;
    add(name, rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return true;
  }

  void add(std::string_view name, std::string_view value) {
    if (name == "tp_rank" || name == "pp_rank") repeats_ = repeats_ || value != "0";
    if (name == "priority") repeats_ = repeats_ || !value.empty();
    if (count_ < kMax) labels_[count_++] = {name, value};
  }

  std::string_view rest_;
  std::array<std::pair<std::string_view, std::string_view>, kMax> labels_{};
  std::size_t count_ = 0;
  bool whole_ = false;
  bool repeats_ = false;
};

// A number of something: finite and not negative. What follows it (a time, an exemplar) is not looked at.
std::optional<double> number(std::string_view text) {
  text = without_blanks(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool ended = end == text.data() + text.size() || is_blank(*end) || *end == '\r';
  if (failed != std::errc() || !ended || !std::isfinite(value) || value < 0) return std::nullopt;
  return value;
}

class Reading {
 public:
  void line(std::string_view text) {
    text = without_blanks(text);
    const std::string_view name = text.substr(0, text.find_first_of("{ \t"));
    const auto rows = std::equal_range(kTable.begin(), kTable.end(), Row{name, Engine::vllm, waiting},
                                       [](const Row& a, const Row& b) { return a.name < b.name; });
    if (rows.first == rows.second) return;
    const Labels labels(without_blanks(text.substr(name.size())));
    if (!labels.whole() || labels.repeats()) return;
    const auto value = number(labels.after());
    if (!value) return;
    for (auto row = rows.first; row != rows.second; ++row) {
      if (!labels.has(*row)) continue;
      Sum& sum = sums_[static_cast<std::size_t>(row->engine)][row->meaning][row->rank];
      sum.value += *value;
      ++sum.series;
    }
  }

  [[nodiscard]] std::optional<EngineLoad> load(Instant taken) const {
    const auto known = [](const auto& of) {
      return std::ranges::count_if(of, [](const auto& ranks) {
        return std::ranges::any_of(ranks, [](const Sum& sum) { return sum.series > 0; });
      });
    };
    const auto best = std::ranges::max_element(sums_, {}, known);
    if (known(*best) == 0) return std::nullopt;
    EngineLoad out;
    out.taken = taken;
    out.engine = static_cast<Engine>(best - sums_.begin());
    out.waiting = whole<std::uint32_t>((*best)[waiting]);
    out.running = whole<std::uint32_t>((*best)[running]);
    if (const Sum* sum = of((*best)[kv_use])) out.kv_use = std::min(1.0, sum->value / sum->series);
    out.prompt_tokens_total = whole<std::uint64_t>((*best)[prompt_total]);
    out.generation_tokens_total = whole<std::uint64_t>((*best)[generation_total]);
    out.request_prompt_tokens = observed((*best)[lengths_sum], (*best)[lengths_count]);
    out.queue_seconds = observed((*best)[queue_sum], (*best)[queue_count]);
    out.prefill_seconds = observed((*best)[prefill_sum], (*best)[prefill_count]);
    return out;
  }

 private:
  using Ranks = std::array<Sum, kRanks>;

  static const Sum* of(const Ranks& ranks) {
    const auto found = std::ranges::find_if(ranks, [](const Sum& sum) { return sum.series > 0; });
    return found == ranks.end() ? nullptr : &*found;
  }

  template <class T>
  static std::optional<T> whole(const Ranks& ranks) {
    const Sum* sum = of(ranks);
    if (sum == nullptr) return std::nullopt;
    constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double counts no more
    const double most = std::min(kExact, static_cast<double>(std::numeric_limits<T>::max()));
    return static_cast<T>(std::min(most, sum->value));
  }

  // Both of the same rank.
  static std::optional<EngineLoad::Observed> observed(const Ranks& sums, const Ranks& counts) {
    for (std::size_t i = 0; i < kRanks; ++i)
      if (sums[i].series > 0 && counts[i].series > 0 && std::isfinite(sums[i].value) &&
          std::isfinite(counts[i].value))
        return EngineLoad::Observed{sums[i].value, counts[i].value};
    return std::nullopt;
  }

  std::array<std::array<Ranks, meanings>, kEngines> sums_{};
};

}  // namespace

const char* name_of(Engine engine) { return kEngineNames[static_cast<std::size_t>(engine)]; }

std::optional<EngineLoad> read_engine_metrics(std::string_view page, Instant taken) {
  Reading reading;
  while (!page.empty()) {
    const std::size_t end = page.find('\n');
    reading.line(page.substr(0, end));
    page.remove_prefix(end == std::string_view::npos ? page.size() : end + 1);
  }
  return reading.load(taken);
}

}  // namespace perigee
