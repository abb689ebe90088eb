#include "gateway/admin.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <utility>

#include "gateway/api_json.h"
#include "gateway/health_check.h"
#include "gateway/query.h"
#include "steering/explain.h"
#include "steering/plan_json.h"
#include "steering/policy_yaml.h"

namespace perigee::gateway {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::string_view kApply = "/api/v1/apply";
constexpr std::string_view kReload = "/api/v1/reload";
constexpr std::string_view kPlan = "/api/v1/plan";  // changes nothing, but takes a body and time
constexpr std::string_view kServicePrefix = "/api/v1/services/";
constexpr std::string_view kExplainSuffix = "/explain";
constexpr std::size_t kMaxFileName = 255;  // of `name`: it comes back in every message

AdminResponse json_answer(unsigned status, const json::value& value) {
  return AdminResponse{status, "application/json", json::serialize(value) + "\n", ""};
}

AdminResponse error_answer(unsigned status, const std::string& what) {
  return json_answer(status, json::object{{"error", what}});
}

AdminResponse wrong_method(const char* allow) {
  AdminResponse answer = error_answer(405, std::string("allowed here: ") + allow);
  answer.allow = allow;
  return answer;
}

constexpr std::uint32_t kUsualRequest = 4000;  // octets: a thousand tokens of English

// A whole number that is not 0; nothing when there is none, or it is no such number.
template <class Number>
std::optional<Number> number_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  Number value = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end || value == 0) return std::nullopt;
  return value;
}

bool is_explain(std::string_view path) {
  return path.starts_with(kServicePrefix) && path.ends_with(kExplainSuffix) &&
         path.size() > kServicePrefix.size() + kExplainSuffix.size();
}

bool is_readable(std::string_view path) {
  static constexpr std::array<std::string_view, 8> kPaths = {
      "/metrics",      "/healthz",          "/readyz",          "/api/v1/status",
      "/api/v1/links", "/api/v1/endpoints", "/api/v1/services", "/api/v1/policy"};
  for (const std::string_view known : kPaths) {
    if (path == known) return true;
  }
  return is_explain(path);
}

bool is_change(std::string_view path) { return path == kApply || path == kReload; }

std::optional<std::string> file_name(const AdminRequest& request) {
  std::string name = query_value(request.target, "name").value_or("policy.yaml");
  if (name.empty() || name.size() > kMaxFileName) return std::nullopt;
  return name;
}

unsigned status_of(ChangeResult result) {
  switch (result) {
    case ChangeResult::accepted:
      return 200;
    case ChangeResult::invalid:
      return 422;
    case ChangeResult::refused:
      return 409;
    case ChangeResult::no_dataplane:
      return 503;
  }
  return 500;
}

}  // namespace

Admin::Admin(const SnapshotCell& cell, ControlService& service, const Log& log, Metrics::More more,
             RouterNow router)
    : cell_(cell),
      service_(service),
      log_(log),
      metrics_(cell, std::move(more)),
      router_(std::move(router)) {}

asio::awaitable<AdminResponse> Admin::handle(AdminRequest request) {
  const std::string path(path_of(request.target));
  if (is_change(path) || path == kPlan) {
    if (!request.peer) co_return error_answer(403, "changes are made over the admin socket");
    if (request.method != "POST") co_return wrong_method("POST");
    if (path == kPlan) co_return plan_change(request);
    auto work = change(std::move(request));
    co_return co_await std::move(work);
  }
  if (!is_readable(path)) co_return error_answer(404, "no such path");
  if (request.method != "GET" && request.method != "HEAD") co_return wrong_method("GET, HEAD");
  co_return read(request);
}

asio::awaitable<AdminResponse> Admin::change(AdminRequest request) {
  const bool apply = path_of(request.target) == kApply;
  log_.write(LogLevel::info, "change_requested",
             {{"change", apply ? "apply" : "reload"},
              {"pid", request.peer->pid},
              {"uid", request.peer->uid},
              {"gid", request.peer->gid},
              {"octets", request.body.size()}});
  std::optional<std::string> name = file_name(request);
  if (!name) co_return error_answer(400, "name is a file's name");
  // On the control loop's thread; this coroutine goes on here.
  auto work = apply ? service_.apply(std::move(request.body), std::move(*name)) : service_.reload();
  const Change change = co_await asio::co_spawn(service_.io(), std::move(work), asio::use_awaitable);
  log_.write(change.result == ChangeResult::accepted ? LogLevel::info : LogLevel::warning, "change_done",
             {{"change", apply ? "apply" : "reload"},
              {"result", name_of(change.result)},
              {"generation", change.generation},
              {"reason", change.reason}});
  co_return json_answer(status_of(change.result), change_json(change));
}

AdminResponse Admin::plan_change(const AdminRequest& request) const {
  const std::optional<std::string> name = file_name(request);
  if (!name) return error_answer(400, "name is a file's name");
  const auto invalid = [](json::array errors) {
    return json_answer(422, json::object{{"result", "invalid"}, {"errors", std::move(errors)}});
  };
  json::array errors;
  const auto policy = parse_policy(request.body, *name);
  if (!policy) {
    for (const Error& error : policy.error()) errors.emplace_back(error.text());
    return invalid(std::move(errors));
  }
  for (const Error& error : router::load_endpoint_access(*policy).errors) errors.emplace_back(error.text());
  if (!errors.empty()) return invalid(std::move(errors));
  const auto snapshot = cell_.load();
  if (!snapshot->policy || !snapshot->route) return error_answer(404, "no policy is loaded");
  return json_answer(200, plan_json(plan({*snapshot->policy, *snapshot->policy_text}, {*policy, request.body},
                                         snapshot->conditions, *snapshot->route, snapshot->at)));
}

AdminResponse Admin::read(const AdminRequest& request) const {
  const std::string_view path = path_of(request.target);
  if (path == "/metrics") return AdminResponse{200, kMetricsContentType, metrics_text(metrics_), ""};
  if (path == "/healthz") return json_answer(200, json::object{{"status", "ok"}});
  if (is_explain(path)) return explain_service(path, request.target);
  const auto snapshot = cell_.load();
  const Instant now = monotonic_now();
  if (path == "/readyz") {
    const json::value readiness = readiness_json(*snapshot, now);
    return json_answer(readiness.at("ready").as_bool() ? 200 : 503, readiness);
  }
  if (path == "/api/v1/status") return json_answer(200, status_json(*snapshot, now));
  if (path == "/api/v1/links") return json_answer(200, links_json(*snapshot, now));
  if (path == "/api/v1/endpoints") return json_answer(200, endpoints_json(*snapshot, now));
  if (path == "/api/v1/services") return json_answer(200, services_json(*snapshot, now));
  if (!snapshot->policy_text) return error_answer(404, "no policy is loaded");
  return AdminResponse{200, "application/yaml", *snapshot->policy_text, ""};
}

AdminResponse Admin::explain_service(std::string_view path, std::string_view target) const {
  const std::string_view encoded =
      path.substr(kServicePrefix.size(), path.size() - kServicePrefix.size() - kExplainSuffix.size());
  const auto service = percent_decoded(encoded);
  if (!service) return error_answer(400, "malformed service name");
  const auto client_text = query_value(target, "client");
  const auto client = client_text ? IpAddress::parse(*client_text) : std::nullopt;
  if (!client) return error_answer(400, "client must be an IP address, as ?client=198.51.100.10");
  const auto port = number_of<std::uint16_t>(query_value(target, "port"));
  if (!port && query_value(target, "port")) return error_answer(400, "port must be 1 to 65535");
  const auto octets = number_of<std::uint32_t>(query_value(target, "octets"));
  if (!octets && query_value(target, "octets")) return error_answer(400, "octets must be 1 to 4294967295");
  const std::string model = query_value(target, "model").value_or("");
  const auto snapshot = cell_.load();
  if (!snapshot->policy || !snapshot->route) return error_answer(404, "no policy is loaded");
  const auto explanation =
      explain(*snapshot->policy, *snapshot->route, *service, *client, port, monotonic_now(), model);
  if (!explanation) return error_answer(404, explanation.error().text());
  std::vector<RequestOdds> odds;
  if (const auto router = router_ ? router_() : nullptr)
    odds = request_odds(*router, *service, model, octets.value_or(kUsualRequest), monotonic_now());
  return json_answer(200, explanation_json(*snapshot, *explanation, odds));
}

}  // namespace perigee::gateway
