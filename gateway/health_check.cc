#include "gateway/health_check.h"

#include <boost/asio/this_coro.hpp>

namespace perigee::gateway {

namespace asio = boost::asio;

CheckOutcome CheckResult::outcome() const {
  if (finding == CheckFinding::ok) return CheckOutcome::passed;
  if (connect_rtt) return CheckOutcome::failed;
  if (finding == CheckFinding::refused) return CheckOutcome::connect_refused;
  return finding == CheckFinding::timeout ? CheckOutcome::connect_timeout : CheckOutcome::failed;
}

asio::awaitable<CheckResult> check_endpoint(CheckTarget target, Policy::Health check, EndpointAccess access,
                                            bool want_body) {
  using Type = Policy::Health::Type;
  CheckResult result;
  const auto executor = co_await asio::this_coro::executor;
  EndpointConnection connection(executor, target, {check.type == Type::https, std::move(access.tls)});
  connection.expires_after(check.timeout);  // once: it bounds everything below
  co_await connection.open(result);
  const bool asks = check.type == Type::http || check.type == Type::https;
  if (result.finding != CheckFinding::ok || !asks) co_return result;
  EndpointConnection::Question question;
  question.path = check.path;
  question.authorization = std::move(access.authorization);
  question.status = check.status;
  question.want_body = want_body || check.body;
  question.max_body = kMaxCheckResponse;
  co_await connection.get(question, result);
  if (result.finding == CheckFinding::ok && check.body &&
      result.body.find(*check.body) == std::string::npos) {
    result.finding = CheckFinding::bad_body;
    result.detail = "the response does not contain \"" + *check.body + "\"";
  }
  const bool kept = want_body && result.finding == CheckFinding::ok;
  if (!kept) result.body.clear();
  co_return result;
}

}  // namespace perigee::gateway
