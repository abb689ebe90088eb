// What a session answers by itself.
#include "router/session.h"

namespace perigee::router {
namespace {

// A place comes free whenever a request ends: trying again soon may do.
constexpr std::chrono::milliseconds kShedRetryAfter{1000};

}  // namespace

bool Session::diagnoses() const {
  return listener_.policy.diagnostics || extension_.listed || (key_ != nullptr && key_->diagnostics);
}

ApiError Session::no_endpoint() const {
  const Instant now = thread_.loop.now();
  ApiError error;
  error.status = 503;
  error.code = "no_endpoint";
  error.message = "no endpoint of this model can take the request now";
  error.retry_after = std::chrono::seconds(1);
  if (!decision_.retry_at.never() && decision_.retry_at > now) {
    error.retry_after = std::chrono::ceil<std::chrono::milliseconds>(decision_.retry_at - now);
  }
  return error;
}

bool Session::shed(Shed reason) {
  service_.gate->count(reason);
  ApiError error;
  error.status = 503;
  error.code = name_of(reason);
  error.message = "too many requests of this service wait for a place";
  error.retry_after = kShedRetryAfter;
  return answer(error, Ending::shed);
}

// An answer of our own; false, so that a step can end with it.
bool Session::answer(const ApiError& error, Ending ending) {
  record_.ending = ending;
  record_.error = error.code;
  record_.status = error.status;
  if (exchange_.gone()) return false;
  const std::string body = error_body(error);
  std::string fields = error_fields(error) + reservation_.fields(thread_.loop.now());
  if (diagnoses()) fields += dropped_reason_field(error.code);
  if (error.status == 401) fields += "WWW-Authenticate: Bearer\r\n";  // RFC 9110 section 11.6.1
  AnswerHead head;
  head.status = error.status;
  head.length = body.size();
  head.request_id = record_.request_id;
  head.more_fields = fields;
  head.content_type = "application/json";
  exchange_.start(head);
  const std::string_view part = body;
  exchange_.end({&part, 1});
  return false;
}

void Session::answer_models() {
  const auto visible = [this](const RouterSnapshot::Model& model) {
    return key_ == nullptr || key_->may_use(model.name);
  };
  // What the first endpoint says that lists it.
  const auto details_of = [this](const RouterSnapshot::Model& model) -> const ModelDetails* {
    for (const RouterSnapshot::Candidate& candidate : model.pool.candidates) {
      const auto& list = snapshot_->endpoints[candidate.endpoint].models;
      if (list == nullptr) continue;
      if (const auto found = list->find(model.pool.served_name); found != list->end()) return &found->second;
    }
    return nullptr;
  };
  std::vector<PublicModel> models;
  for (const RouterSnapshot::Model& model : service_.models)
    if (visible(model)) models.push_back({model.name, details_of(model)});
  std::string body;
  if (operation_->operation == Operation::models_get) {
    const RouterSnapshot::Model* model = service_.model(operation_->id);
    if (model == nullptr || !visible(*model)) {
      answer(unknown_model(operation_->id), Ending::refused);
      return;
    }
    body = model_body({model->name, details_of(*model)});
  } else {
    body = models_body(models);
  }
  AnswerHead head;
  head.length = body.size();
  head.request_id = record_.request_id;
  head.content_type = "application/json";
  record_.status = head.status;
  record_.ending = Ending::answered_here;
  exchange_.start(head);
  const std::string_view part = body;
  exchange_.end({&part, 1});
}

}  // namespace perigee::router
