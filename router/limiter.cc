#include "router/limiter.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace perigee::router {
namespace {

constexpr Nanos kMinute = std::chrono::minutes(1);
constexpr std::uint64_t kMaxAnswers = 128;  // `n` of a request, as OpenAI has it

// In 128 bits: a minute of nanoseconds times the most tokens does not fit into 64.
std::int64_t nanos_of(std::uint64_t count, std::uint64_t limit) {
  __extension__ using Wide = unsigned __int128;
  constexpr Wide kMost = std::uint64_t{1} << 60U;
  return static_cast<std::int64_t>(
      std::min(Wide{count} * static_cast<std::uint64_t>(kMinute.count()) / limit, kMost));
}

ApiError over(std::string_view what, std::uint64_t limit, std::optional<Nanos> wait) {
  ApiError error;
  error.status = 429;
  error.code = "rate_limit_exceeded";
  error.message = "Rate limit reached for " + std::string(what) + ": limit " + std::to_string(limit) + ".";
  if (wait) {
    error.retry_after = std::chrono::ceil<std::chrono::milliseconds>(*wait);
  } else {
    error.message += " This request alone needs more.";
    error.should_retry = false;
  }
  return error;
}

// As OpenAI writes it: "1m2.5s".
void append_reset(std::string& out, Nanos duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  std::array<char, 48> text;
  const int size =
      ms >= 60'000 ? std::snprintf(text.data(), text.size(), "%lldm%gs", static_cast<long long>(ms / 60'000),
                                   static_cast<double>(ms % 60'000) / 1e3)
      : ms >= 1000 ? std::snprintf(text.data(), text.size(), "%gs", static_cast<double>(ms) / 1e3)
                   : std::snprintf(text.data(), text.size(), "%lldms", static_cast<long long>(ms));
  out.append(text.data(), static_cast<std::size_t>(size));
}

void append_fields(std::string& out, std::string_view of, const Allowance& allowance) {
  out.append("x-ratelimit-limit-")
      .append(of)
      .append(": ")
      .append(std::to_string(allowance.limit))
      .append("\r\n");
  out.append("x-ratelimit-remaining-").append(of).append(": ").append(std::to_string(allowance.remaining));
  out.append("\r\nx-ratelimit-reset-").append(of).append(": ");
  append_reset(out, allowance.whole_in);
  out += "\r\n";
}

// Of a key or a service: what its limits are called, in errors and in the log.
struct Words {
  std::string_view requests, tokens, concurrency;
  std::string_view of;
};
constexpr std::array<Words, 2> kWords{
    Words{"requests", "tokens", "concurrency", ""},
    Words{"service_requests", "service_tokens", "service_concurrency", " of all clients"}};

}  // namespace

TokenEstimate estimate_tokens(Operation operation, const JsonFacts* facts, std::uint64_t body_octets) {
  TokenEstimate estimate;
  if (facts == nullptr) return estimate;  // a file, or nothing: not in tokens
  estimate.prompt = body_octets / kOctetsOfToken + 1;
  switch (operation_info(operation).family) {
    case ApiFamily::chat:
    case ApiFamily::completions:
    case ApiFamily::responses:
      estimate.completion = std::min(facts->max_tokens.value_or(kReservedCompletion), kReservedCompletion) *
                            std::clamp<std::uint64_t>(facts->n.value_or(1), 1, kMaxAnswers);
      break;
    default:
      break;
  }
  return estimate;
}

TokenEstimate tokens_used(const RequestRecord& record, const TokenEstimate& estimate) {
  if (record.usage) return {record.usage->prompt, record.usage->completion};
  if (record.sent.never()) return {};
  if (record.first_event.never()) {
    // Whoever stopped waiting had an endpoint work for it; an endpoint that failed did not.
    const bool worked = record.ending == Ending::client_gone || record.ending == Ending::timed_out ||
                        record.ending == Ending::drained;
    return {worked ? estimate.prompt : 0, 0};
  }
  if (record.streamed) return {estimate.prompt, record.events};
  if (record.status >= 400) return {};
  return {estimate.prompt, std::min(estimate.completion, record.octets_out / kOctetsOfToken)};
}

Allowance allowance(const std::atomic<std::int64_t>& whole_at, std::uint64_t limit, Instant now) {
  const Nanos owed(std::max<std::int64_t>(whole_at.load(std::memory_order_relaxed) - now.ns, 0));
  const auto left = static_cast<std::uint64_t>(std::max<std::int64_t>((kMinute - owed).count(), 0));
  __extension__ using Wide = unsigned __int128;
  return {limit, static_cast<std::uint64_t>(Wide{left} * limit / static_cast<std::uint64_t>(kMinute.count())),
          owed};
}

Taken take(std::atomic<std::int64_t>& whole_at, std::uint64_t limit, std::uint64_t count, Instant now) {
  if (count > limit) return {false, std::nullopt};
  const std::int64_t cost = nanos_of(count, limit);
  const std::int64_t latest = now.ns + kMinute.count();
  std::int64_t is = whole_at.load(std::memory_order_relaxed);
  while (true) {
    const std::int64_t after = std::max(is, now.ns) + cost;
    if (after > latest) return {false, Nanos(after - latest)};
    if (whole_at.compare_exchange_weak(is, after, std::memory_order_relaxed)) return {true, Nanos(0)};
  }
}

void give_back(std::atomic<std::int64_t>& whole_at, std::uint64_t limit, std::int64_t count) {
  const std::int64_t nanos = nanos_of(static_cast<std::uint64_t>(count < 0 ? -count : count), limit);
  whole_at.fetch_sub(count < 0 ? -nanos : nanos, std::memory_order_relaxed);
}

Reservation::Share::Share(Share&& other) noexcept { *this = std::move(other); }

Reservation::Share& Reservation::Share::operator=(Share&& other) noexcept {
  if (this == &other) return *this;
  release();
  of_ = other.of_;
  counted_ = std::exchange(other.counted_, false);
  requested_ = std::exchange(other.requested_, false);
  metered_ = std::exchange(other.metered_, false);
  return *this;
}

void Reservation::Share::release() {
  if (std::exchange(counted_, false)) of_.counters->in_flight.fetch_sub(1, std::memory_order_relaxed);
}

bool Reservation::Share::count_in() {
  std::atomic<std::uint32_t>& in_flight = of_.counters->in_flight;
  std::uint32_t now = in_flight.load(std::memory_order_relaxed);
  while (!counted_ && now < *of_.limits->concurrency)
    counted_ = in_flight.compare_exchange_weak(now, now + 1, std::memory_order_relaxed);
  return counted_;
}

Taken Reservation::Share::take_request(Instant now) {
  const Taken taken = take(of_.counters->requests_whole_at, *of_.limits->requests, 1, now);
  requested_ = taken.granted;
  return taken;
}

Taken Reservation::Share::take_tokens(std::uint64_t tokens, Instant now) {
  const Taken taken = take(of_.counters->tokens_whole_at, *of_.limits->tokens, tokens, now);
  metered_ = taken.granted;
  return taken;
}

void Reservation::Share::settle(std::uint64_t reserved, std::uint64_t used) {
  if (std::exchange(metered_, false))
    give_back(of_.counters->tokens_whole_at, *of_.limits->tokens,
              static_cast<std::int64_t>(reserved) - static_cast<std::int64_t>(used));
}

void Reservation::Share::give_all_back(std::uint64_t reserved) {
  release();
  if (std::exchange(requested_, false)) give_back(of_.counters->requests_whole_at, *of_.limits->requests, 1);
  settle(reserved, 0);
}

bool Reservation::metered() const { return shares_[0].metered() || shares_[1].metered(); }

std::string Reservation::fields(Instant now) const {
  std::string out;
  const Limited& key = shares_[0].of();
  if (key.limits == nullptr) return out;
  if (key.limits->requests)
    append_fields(out, "requests", allowance(key.counters->requests_whole_at, *key.limits->requests, now));
  if (key.limits->tokens)
    append_fields(out, "tokens", allowance(key.counters->tokens_whole_at, *key.limits->tokens, now));
  return out;
}

// One that only watches is not taken from when it would refuse, and the next ones are asked all the same.
bool Limiter::take_all(Reservation& reservation, std::size_t share, Instant now) {
  Reservation::Share& from = reservation.shares_[share];
  if (from.of().limits == nullptr) return true;
  const RequestLimits& limits = *from.of().limits;
  const Words& words = kWords[share];
  // Whether it may go on.
  const auto over_limit = [&](std::string_view name, std::string_view what, std::uint64_t limit, bool watches,
                              std::optional<Nanos> wait) {
    if (!watches)
      reservation.error_ = over(std::string(what).append(words.of), limit, wait);
    else if (reservation.would_refuse_.empty())
      reservation.would_refuse_ = name;
    return watches;
  };
  if (limits.concurrency && !from.count_in() &&
      !over_limit(words.concurrency, "requests at once", *limits.concurrency, limits.shadow.concurrency,
                  std::chrono::seconds(1)))
    return false;
  if (limits.requests) {
    const Taken taken = from.take_request(now);
    if (!taken.granted && !over_limit(words.requests, "requests per minute", *limits.requests,
                                      limits.shadow.requests, taken.wait))
      return false;
  }
  if (limits.tokens) {
    const Taken taken = from.take_tokens(reservation.tokens_, now);
    if (!taken.granted &&
        !over_limit(words.tokens, "tokens per minute", *limits.tokens, limits.shadow.tokens, taken.wait))
      return false;
  }
  return true;
}

Task<Reservation> Limiter::reserve(Limited key, Limited service, std::uint64_t tokens, Instant now) {
  Reservation reservation;
  reservation.shares_ = {Reservation::Share(key), Reservation::Share(service)};
  reservation.tokens_ = tokens;
  if (!take_all(reservation, 0, now) || !take_all(reservation, 1, now)) {
    for (Reservation::Share& share : reservation.shares_) share.give_all_back(tokens);
    reservation.would_refuse_ = {};
  }
  co_return reservation;
}

Task<void> Limiter::settle(Reservation& reservation, std::uint64_t tokens) {
  for (Reservation::Share& share : reservation.shares_) share.settle(reservation.tokens_, tokens);
  co_return;
}

}  // namespace perigee::router
