// Which model a request is for, and which endpoints may have it.
#include "router/admission.h"
#include "router/session.h"

namespace perigee::router {
namespace {

constexpr std::size_t kLoggedModel = 64;  // of what a client asked for
// Of a body that are compared: a system prompt and the beginning of a conversation. Its later turns begin
// alike.
constexpr std::size_t kPrefixOctets = 1024;

}  // namespace

bool Session::route() {
  if (operation_info(operation_->operation).family == ApiFamily::models) {
    answer_models();
    return false;
  }
  extension_ =
      read_extension_headers(*snapshot_, listener_.policy, exchange_.client().address, exchange_.head());
  choice_.among = extension_.only.get();
  const bool named =
      is_by_response_id(operation_->operation) ? find_response(operation_->id, "") : name_model();
  if (!named || !place()) return false;
  estimate_ =
      estimate_tokens(operation_->operation, body_.json(), exchange_.body_length().value_or(body_.size()));
  choice_.octets = exchange_.body_length().value_or(body_.size());
  if (body_.json() != nullptr) choice_.tokens = static_cast<double>(choice_.octets) / pool_->octets_per_token;
  if (snapshot_->class_of(*pool_).choice.affinity_margin > Nanos(0) && body_.json() != nullptr)
    choice_.prefix = prefix_of(*pool_, body_.beginning(kPrefixOctets));
  body_.prepare(pool_->served_name, service_.limits.tokens || (key_ != nullptr && key_->limits.tokens));
  return true;
}

bool Session::name_model() {
  record_.model_asked = body_.model().substr(0, kLoggedModel);
  if (body_.model().empty()) {
    ApiError error;
    error.status = 400;
    error.code = "missing_model";
    error.param = "model";
    error.message = "the request must name a model";
    return answer(error, Ending::refused);
  }
  const std::string_view asked = extension_.model.empty() ? body_.model() : extension_.model;
  model_ = service_.model(asked);
  if (model_ == nullptr || (key_ != nullptr && !key_->may_use(model_->name)))
    return answer(unknown_model(asked), Ending::refused);
  record_.model = model_->name;
  record_.streamed = body_.stream();
  if (operation_->operation != Operation::responses_create) return true;
  const auto& earlier = body_.json()->previous_response_id;
  return !earlier || find_response(*earlier, "previous_response_id");
}

// The request goes to the endpoint that has the response `id`, and to the model that made it unless it names
// one.
bool Session::find_response(std::string_view id, std::string_view param) {
  pin_ = thread_.shared.responses.find(record_.key, id, thread_.loop.now());
  if (pin_ && model_ == nullptr) model_ = service_.model_of_pool(pin_->pool);
  if (!pin_ || model_ == nullptr || (key_ != nullptr && !key_->may_use(model_->name)))
    return answer(unknown_response(id, param), Ending::refused);
  record_.model = model_->name;
  return pin(id, param);
}

// At the model or its canary, wherever that endpoint is.
bool Session::pin(std::string_view id, std::string_view param) {
  for (const bool canary : {pin_->pool == model_->canary.id, pin_->pool != model_->canary.id}) {
    const RouterSnapshot::Pool& pool = canary ? model_->canary : model_->pool;
    for (const RouterSnapshot::Candidate& candidate : pool.candidates) {
      if (snapshot_->endpoints[candidate.endpoint].id != pin_->endpoint) continue;
      choice_.only = candidate.endpoint;
      record_.canary = canary;
      return true;
    }
  }
  return answer(unknown_response(id, param), Ending::refused);
}

// In which regions, and whether at the canary. Where the canary may not be used, the model's own endpoints
// may.
bool Session::place() {
  choice_.use = static_cast<std::uint32_t>(operation_->operation);
  choice_.regions = common_regions(*snapshot_, service_, key_, exchange_.head());
  if (!choice_.only) {
    const auto sticky = sticky_of(key_, exchange_.head());
    record_.canary = takes_canary(*model_, sticky.value_or(thread_.names.number())) &&
                     has_candidate(*snapshot_, model_->canary, choice_.regions, choice_.among);
  }
  pool_ = record_.canary ? &model_->canary : &model_->pool;
  record_.model_served = pool_->served_name;
  const bool somewhere = choice_.only ? (snapshot_->endpoints[*choice_.only].region & choice_.regions) != 0
                                      : has_candidate(*snapshot_, *pool_, choice_.regions);
  if (choice_.regions == 0 || (!somewhere && !pool_->candidates.empty()))
    return answer(outside_residency(), Ending::refused);
  return true;
}

}  // namespace perigee::router
