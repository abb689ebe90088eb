// The load of `scripts/bench router`: one thread over epoll; prints one line of JSON.
//   router_load ADDRESS PORT [OPTION...]
//     --tls                     speak TLS
//     --header LINE             in each request, besides its own; as often as needed
//     --unknown                 each asks for a model or a path of its own that nobody knows: 404 is right
//     --body OCTETS             of the request (default: some 90)
//     --events N --gap MICROSECONDS    ask for a stream
//     --connections N --requests N             closed loop
//     --connections N --hold                   a stream on each; stays in them until the input ends
//     --rate PER_SECOND --seconds S            open loop
//     --handshakes --seconds S [--resume]      TLS connections that carry nothing
#include <getopt.h>

#include <random>

#include "test/bench/load_modes.h"

namespace perigee::bench {
namespace {

struct Asked {
  std::string headers;  // further ones
  std::size_t body = 0;
  long events = 0;
  long gap_us = 0;
  bool tls = false;
  bool handshakes = false;
  bool hold = false;
  bool unknown = false;
};

std::string head_of(std::string_view method, std::string_view path, const Asked& asked) {
  const char* key = std::getenv("BENCH_KEY");
  return std::string(method) + " " + std::string(path) +
         " HTTP/1.1\r\nHost: api.local\r\nContent-Type: application/json\r\nAuthorization: Bearer " +
         (key == nullptr ? "none" : key) + "\r\n" + asked.headers;
}

std::string post_of(const Asked& asked, const std::string& body) {
  return head_of("POST", "/v1/chat/completions", asked) + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string request_of(const Asked& asked) {
  std::string body = R"({"model":"m",)";
  if (asked.events > 0) {
    body += R"("stream":true,"max_tokens":)" + std::to_string(asked.events) + R"(,"seed":)" +
            std::to_string(asked.gap_us) + ",";
  }
  body += R"("messages":[{"role":"user","content":"Hello)";
  constexpr std::string_view kEnd = R"("}]})";
  constexpr std::string_view kWords = " the quick brown fox jumps over the lazy dog";
  while (body.size() + kEnd.size() < asked.body) body += kWords[body.size() % kWords.size()];
  body += kEnd;
  return post_of(asked, body);
}

// Three of four for a model, one for a path.
std::function<std::string()> unknown_requests(const Asked& asked) {
  return [asked, random = std::mt19937_64(std::random_device{}())]() mutable {
    const std::string name = "never-heard-of-" + std::to_string(random());
    if (random() % 4 == 0) return head_of("GET", "/v1/" + name, asked) + "\r\n";
    return post_of(asked, R"({"model":")" + name + R"(","messages":[{"role":"user","content":"Hello"}]})");
  };
}

double at_share(std::vector<std::int64_t>& values, double share) {
  if (values.empty()) return 0;
  const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return static_cast<double>(values[static_cast<std::size_t>(place)]) / 1e3;
}

void print(LoadResult result) {
  std::printf(
      "{\"done\":%llu,\"answered\":%zu,\"errors\":%llu,\"events\":%llu,\"resumed\":%llu,\"seconds\":%.6f",
      static_cast<unsigned long long>(result.done), result.first_ns.size(),
      static_cast<unsigned long long>(result.errors), static_cast<unsigned long long>(result.events),
      static_cast<unsigned long long>(result.resumed), result.seconds);
  const auto quantiles = [](const char* name, std::vector<std::int64_t>& values) {
    std::printf(",\"%s_p50_us\":%.1f,\"%s_p99_us\":%.1f", name, at_share(values, 0.5), name,
                at_share(values, 0.99));
  };
  quantiles("first", result.first_ns);
  quantiles("whole", result.whole_ns);
  quantiles("gap", result.gaps_ns);
  std::puts("}");
}

bool read_option(int which, LoadOptions& options, Asked& asked) {
  switch (which) {
    case 't':
      asked.tls = true;
      return true;
    case 'a':
      asked.headers += std::string(optarg) + "\r\n";
      return true;
    case 'k':
      asked.unknown = true;
      return true;
    case 'b':
      asked.body = static_cast<std::size_t>(std::atoll(optarg));
      return true;
    case 'e':
      asked.events = std::atol(optarg);
      return true;
    case 'g':
      asked.gap_us = std::atol(optarg);
      return true;
    case 'c':
      options.connections = static_cast<std::size_t>(std::atoll(optarg));
      return true;
    case 'n':
      options.requests = static_cast<std::size_t>(std::atoll(optarg));
      return true;
    case 'h':
      asked.hold = true;
      return true;
    case 'r':
      options.rate = std::atof(optarg);
      return true;
    case 's':
      options.seconds = std::atof(optarg);
      return true;
    case 'x':
      asked.handshakes = true;
      return true;
    case 'u':
      options.resume = true;
      return true;
    default:
      return false;
  }
}

int run(int argc, char** argv) {
  constexpr std::array kOptions = {option{"tls", no_argument, nullptr, 't'},
                                   option{"header", required_argument, nullptr, 'a'},
                                   option{"unknown", no_argument, nullptr, 'k'},
                                   option{"body", required_argument, nullptr, 'b'},
                                   option{"events", required_argument, nullptr, 'e'},
                                   option{"gap", required_argument, nullptr, 'g'},
                                   option{"connections", required_argument, nullptr, 'c'},
                                   option{"requests", required_argument, nullptr, 'n'},
                                   option{"hold", no_argument, nullptr, 'h'},
                                   option{"rate", required_argument, nullptr, 'r'},
                                   option{"seconds", required_argument, nullptr, 's'},
                                   option{"handshakes", no_argument, nullptr, 'x'},
                                   option{"resume", no_argument, nullptr, 'u'},
                                   option{}};
  LoadOptions options;
  Asked asked;
  while (true) {
    const int which = ::getopt_long(argc, argv, "", kOptions.data(), nullptr);
    if (which == -1) break;
    if (!read_option(which, options, asked)) return 64;
  }
  if (argc - optind != 2) return 64;
  options.to = ipv4(argv[optind], static_cast<std::uint16_t>(std::atoi(argv[optind + 1])));
  options.request = request_of(asked);
  if (asked.unknown) {
    options.another = unknown_requests(asked);
    options.expected = 404;
  }
  if (asked.tls) options.tls = SSL_CTX_new(TLS_client_method());
  if (asked.handshakes) {
    print(handshakes(options));
  } else if (asked.hold) {
    print(hold(options));
  } else {
    print(options.rate > 0 ? open_loop(options) : closed_loop(options));
  }
  return 0;
}

}  // namespace
}  // namespace perigee::bench

int main(int argc, char** argv) { return perigee::bench::run(argc, argv); }
