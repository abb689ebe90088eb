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

bool count_in(std::atomic<std::uint32_t>& in_flight, std::uint32_t limit) {
  std::uint32_t now = in_flight.load(std::memory_order_relaxed);
  while (now < limit)
    if (in_flight.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
  return false;
}

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

Reservation::Reservation(Reservation&& other) noexcept { *this = std::move(other); }

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  release();
  key_ = other.key_;
  counters_ = std::move(other.counters_);
  tokens_ = other.tokens_;
  metered_ = other.metered_;
  counted_ = std::exchange(other.counted_, false);
  error_ = std::move(other.error_);
  would_refuse_ = other.would_refuse_;
  return *this;
}

Reservation::~Reservation() { release(); }

void Reservation::release() {
  if (std::exchange(counted_, false)) counters_->in_flight.fetch_sub(1, std::memory_order_relaxed);
}

std::string Reservation::fields(Instant now) const {
  std::string out;
  if (key_ == nullptr) return out;
  const KeyLimits& limits = key_->limits;
  if (limits.requests)
    append_fields(out, "requests", allowance(counters_->requests_whole_at, *limits.requests, now));
  if (limits.tokens) append_fields(out, "tokens", allowance(counters_->tokens_whole_at, *limits.tokens, now));
  return out;
}

// In an order in which each can be given back when the next one refuses. One that only watches is not taken
// from when it would refuse, and the next ones are asked all the same.
bool Limiter::take_all(Reservation& reservation, std::uint64_t tokens, Instant now) {
  const KeyLimits& limits = reservation.key_->limits;
  KeyCounters& counters = *reservation.counters_;
  // Whether it may go on.
  const auto over_limit = [&](std::string_view name, std::string_view what, std::uint64_t limit, bool watches,
                              std::optional<Nanos> wait) {
    if (!watches)
      reservation.error_ = over(what, limit, wait);
    else if (reservation.would_refuse_.empty())
      reservation.would_refuse_ = name;
    return watches;
  };
  if (limits.concurrency) {
    reservation.counted_ = count_in(counters.in_flight, *limits.concurrency);
    if (!reservation.counted_ && !over_limit("concurrency", "requests at once", *limits.concurrency,
                                             limits.shadow.concurrency, std::chrono::seconds(1)))
      return false;
  }
  bool request_taken = false;
  if (limits.requests) {
    const Taken taken = take(counters.requests_whole_at, *limits.requests, 1, now);
    request_taken = taken.granted;
    if (!taken.granted &&
        !over_limit("requests", "requests per minute", *limits.requests, limits.shadow.requests, taken.wait))
      return false;
  }
  if (limits.tokens) {
    const Taken taken = take(counters.tokens_whole_at, *limits.tokens, tokens, now);
    reservation.metered_ = taken.granted;
    if (taken.granted) {
      reservation.tokens_ = tokens;
    } else if (!over_limit("tokens", "tokens per minute", *limits.tokens, limits.shadow.tokens, taken.wait)) {
      if (request_taken) give_back(counters.requests_whole_at, *limits.requests, 1);
      return false;
    }
  }
  return true;
}

Task<Reservation> Limiter::reserve(const ApiKey& key, std::uint64_t tokens, Instant now) {
  Reservation reservation;
  reservation.key_ = &key;
  reservation.counters_ = key.counters;
  if (!take_all(reservation, tokens, now)) {
    reservation.release();
    reservation.would_refuse_ = {};
  }
  co_return reservation;
}

Task<void> Limiter::settle(Reservation& reservation, std::uint64_t tokens) {
  if (!std::exchange(reservation.metered_, false)) co_return;
  give_back(reservation.counters_->tokens_whole_at, *reservation.key_->limits.tokens,
            static_cast<std::int64_t>(reservation.tokens_) - static_cast<std::int64_t>(tokens));
}

}  // namespace perigee::router
