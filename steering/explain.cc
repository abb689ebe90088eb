#include "steering/explain.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "contract/rendezvous.h"
#include "steering/damping.h"
#include "steering/equal_links.h"
#include "steering/route_terms.h"
#include "steering/text_units.h"
#include "steering/wall_time.h"
#include "steering/yaml_reader.h"

namespace perigee {
namespace {

std::string ms_text(Nanos duration) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                 static_cast<double>(duration.count()) / 1e6, std::chars_format::fixed, 2);
  return std::string(buffer.data(), end.ptr) + " ms";
}

// "14.20 ms (rtt 14.20 ms)" with the terms that are not 0.
std::string cost_text(const Cost& cost) {
  std::string terms = cost.known() ? "rtt " + ms_text(*cost.rtt) : "rtt unknown";
  if (cost.of_connections) terms += " by connections";
  if (cost.declared != Nanos(0)) terms += " + declared " + ms_text(cost.declared);
  if (cost.policy != Nanos(0)) terms += " + policy " + ms_text(cost.policy);
  if (cost.loss != Nanos(0)) terms += " + loss " + ms_text(cost.loss);
  return cost.known() ? ms_text(cost.total()) + " (" + terms + ")" : "unknown cost (" + terms + ")";
}

// What is explained: a forwarded service, or a pool of a routed one.
struct Subject {
  const ServiceRoute* chosen = nullptr;
  std::optional<Nanos> max_rtt;
  const char* what = "new flows";
  const char* otherwise = "refused";  // without a usable candidate
  bool forwarded = true;
  const Confines* confines = nullptr;
};

class Explainer {
 public:
  Explainer(const Policy& policy, const Route& route, const Subject& subject, Instant now)
      : policy_(policy),
        route_(route),
        subject_(subject),
        chosen_(subject.chosen),
        now_(now),
        own_links_(links_of_endpoints(policy, route)) {}

  std::vector<ExplainedCandidate> candidates() const {
    std::vector<ExplainedCandidate> out;
    if (chosen_ == nullptr) return out;
    for (std::size_t tier = 0; tier < chosen_->tiers.size(); ++tier) {
      double total = 0;
      for (const Candidate& candidate : chosen_->tiers[tier]) total += candidate.weight;
      for (const Candidate& candidate : chosen_->tiers[tier]) {
        ExplainedCandidate explained = describe(candidate.endpoint, candidate.link);
        explained.tier = tier;
        explained.weight = candidate.weight;
        explained.share = total > 0 ? candidate.weight / total : 0;
        if (subject_.forwarded) explained.probability = tier == 0 ? explained.share : 0;
        explained.verdict = tier == 0
                                ? std::string("serves ") + subject_.what + ": " + cost_text(explained.cost) +
                                      why_spilled(explained) + after_opening(candidate)
                                : why_behind(explained);
        out.push_back(std::move(explained));
      }
    }
    for (const Excluded& excluded : chosen_->excluded) {
      ExplainedCandidate explained = describe(excluded.endpoint, excluded.link);
      if (subject_.forwarded) explained.probability = 0;
      explained.verdict = "excluded: " + why_excluded(excluded, explained.cost);
      out.push_back(std::move(explained));
    }
    return out;
  }

  std::string summary(const IpAddress& client) const {
    if (chosen_ == nullptr || chosen_->tiers.empty())
      return std::string(subject_.what) + " of " + client.text() + " are " + subject_.otherwise +
             ": no candidate is usable";
    std::string out = std::string(subject_.what) + " of " + client.text() + " go to ";
    const Tier& tier = chosen_->tiers.front();
    for (std::size_t i = 0; i < tier.size(); ++i) {
      const Policy::Link* link = policy_.link(tier[i].link);
      out += i == 0 ? "" : i + 1 == tier.size() ? " or " : ", ";
      out +=
          policy_.endpoint(tier[i].endpoint)->name + (link == nullptr ? " locally" : " over " + link->name);
    }
    return out;
  }

  // As the data plane draws among the first tier, while all of it lives.
  std::string drawn(const IpAddress& client, std::uint16_t port) const {
    if (chosen_ == nullptr || chosen_->tiers.empty()) return "";
    const std::uint64_t key = rendezvous_key(client, port, chosen_->id);
    std::optional<RendezvousRank> best;
    for (const Candidate& candidate : chosen_->tiers.front()) {
      const RendezvousRank rank = rendezvous_rank(key, candidate.endpoint, candidate.weight);
      if (candidate.weight > 0 && (!best || rank < *best)) best = rank;
    }
    return best ? policy_.endpoint(EndpointId{best->id})->name : "";
  }

 private:
  [[nodiscard]] const RankedPath* ranked(EndpointId endpoint, LinkId link) const {
    const Policy::Endpoint* known = policy_.endpoint(endpoint);
    return known == nullptr ? nullptr : chosen_->ranking.find({policy_.pop_of(*known).id, link});
  }

  [[nodiscard]] ExplainedCandidate describe(EndpointId endpoint, LinkId link) const {
    ExplainedCandidate out;
    if (const Policy::Endpoint* known = policy_.endpoint(endpoint)) {
      out.endpoint = known->name;
      out.pop = policy_.pop_of(*known).name;
      out.weight = known->weight;
    }
    if (const Policy::Link* known = policy_.link(link)) out.link = known->name;
    if (const RankedPath* path = ranked(endpoint, link)) {
      out.cost = path->cost;
      out.damped = path->damped;
      out.flap_penalty = flap_penalty(*path, policy_.steering, now_);
    }
    return out;
  }

  // Where its flows go once they are established, if that is another link.
  [[nodiscard]] std::string after_opening(const Candidate& candidate) const {
    if (!subject_.forwarded) return "";
    const auto order = own_links_.find(candidate.endpoint);
    if (order == own_links_.end()) return "";
    const LinkOrder& own = order->second;
    if (own.equal > 1) {
      std::string out = "; they are spread over " + policy_.link(own.links.front())->name;
      for (std::uint32_t i = 1; i < own.equal; ++i) out += " and " + policy_.link(own.links[i])->name;
      return out + ", which are as good";
    }
    if (own.links.front() == candidate.link) return "";
    return "; once established they go over " + policy_.link(own.links.front())->name +
           ", which a service before this one prefers";
  }

  // Why a candidate whose path is not of the first tier serves all the same.
  [[nodiscard]] std::string why_spilled(const ExplainedCandidate& candidate) const {
    const RankedPath* path = ranked(policy_.endpoint(candidate.endpoint)->id, link_id(candidate));
    if (path == nullptr || path->active || !subject_.forwarded) return "";
    return "; it helps out, as only " + percent_text(std::round(chosen_->healthy * 100) / 100) +
           " of what is nearer is healthy" + (chosen_->panic ? ": panic" : "");
  }

  // Why a usable candidate is not in the first tier.
  [[nodiscard]] std::string why_behind(const ExplainedCandidate& candidate) const {
    const RankedPath* path = ranked(policy_.endpoint(candidate.endpoint)->id, link_id(candidate));
    const std::vector<RankedPath>& paths = chosen_->ranking.paths;
    const auto same_pop = std::find_if(paths.begin(), paths.end(), [&](const RankedPath& other) {
      return other.active && path != nullptr && other.path.pop == path->path.pop;
    });
    const RankedPath& rival = same_pop != paths.end() ? *same_pop : paths.front();
    std::string out = "stands by: " + cost_text(candidate.cost);
    if (!candidate.cost.known()) return out + "; unknown costs come last";
    if (!rival.cost.known())
      return out + "; the path in use is not measured now and keeps its place for a while";
    const Policy::Steering& law = policy_.steering;
    const Nanos ours = candidate.cost.total();
    const Nanos theirs = rival.cost.total();
    const bool shares = same_pop == paths.end() && ours <= enter_limit(theirs, law);
    if (ours >= theirs && !shares) return out + "; " + ms_text(ours - theirs) + " more than the path in use";
    out += ours >= theirs ? "; near enough to the path in use to share with it, "
                          : "; " + ms_text(theirs - ours) + " less than the path in use, ";
    const Nanos needed =
        theirs - std::min(theirs - law.hysteresis_absolute,
                          Nanos(static_cast<std::int64_t>(static_cast<double>(theirs.count()) *
                                                          (1 - law.hysteresis_relative))));
    if (!shares && !beats(ours, theirs, law))
      return out + "but to switch it must be " + ms_text(needed) + " less";
    return out + (path == nullptr ? "" : what_it_waits_for(*path));
  }

  // Of a path that is good enough.
  [[nodiscard]] std::string what_it_waits_for(const RankedPath& path) const {
    const Policy::Steering& law = policy_.steering;
    const Nanos wait = flap_wait(path, law, now_);
    const std::string flaps = wait == Nanos(0) ? ""
                                               : ", and " + text_of(rounded(wait)) + " as it left " +
                                                     flap_text(path) + " times of late";
    if (!path.usable_since.never() && !ready(path, law, now_))
      return "but it came back only " + ms_text(now_ - path.usable_since) + " ago (hold " +
             text_of(law.hold) + flaps + ")";
    if (!path.better_since.never() && path.damped)
      return "but counts as " + ms_text(*path.damped) + " until that has lasted (half of the way each " +
             text_of(law.good_news) + ")";
    if (!chosen_->ranking.changed_at.never() && now_ - chosen_->ranking.changed_at < law.hold)
      return "but the last switch was only " + ms_text(now_ - chosen_->ranking.changed_at) + " ago (hold " +
             text_of(law.hold) + ")";
    return "but not yet in " + std::to_string(law.dwell) + " evaluations in a row" + flaps;
  }

  static Nanos rounded(Nanos time) { return std::chrono::round<std::chrono::seconds>(time); }
  [[nodiscard]] std::string flap_text(const RankedPath& path) const {
    return ratio_text(std::round(flap_penalty(path, policy_.steering, now_) * 10) / 10);
  }

  [[nodiscard]] LinkId link_id(const ExplainedCandidate& candidate) const {
    const Policy::Link* link = policy_.link(candidate.link);
    return link == nullptr ? LinkId{} : link->id;
  }

  // Of the endpoint, its PoP, its link or that link's peer: the first that is in maintenance.
  [[nodiscard]] std::string maintenance_text(const Excluded& excluded) const {
    const Policy::Endpoint* endpoint = policy_.endpoint(excluded.endpoint);
    const Policy::Link* link = policy_.link(excluded.link);
    const auto said = [&](std::string_view what, const std::string& name) -> std::optional<std::string> {
      for (const UnderMaintenance& now : route_.maintenance) {
        if (now.what != what || now.name != name) continue;
        std::string out(what == "pop" ? "PoP" : what);
        out.append(" ").append(name).append(" is in maintenance until ").append(text_of(now.until));
        return now.note.empty() ? out : out.append(": ").append(now.note);
      }
      return std::nullopt;
    };
    if (const auto text = said("endpoint", endpoint->name)) return *text;
    if (const auto text = said("pop", policy_.pop_of(*endpoint).name)) return *text;
    if (link == nullptr) return "in maintenance";
    if (const auto text = said("link", link->name)) return *text;
    return said("pop", policy_.pop_of(*link).name).value_or("in maintenance");
  }

  [[nodiscard]] std::string why_excluded(const Excluded& excluded, const Cost& cost) const {
    const EndpointRoute* state = route_.endpoint(excluded.endpoint);
    switch (excluded.reason) {
      case Exclusion::drained:
        return "the endpoint is drained by the policy";
      case Exclusion::maintenance:
        return maintenance_text(excluded);
      case Exclusion::pop_not_allowed:
        return "its PoP is not among the service's pops";
      case Exclusion::not_pinned:
        return "the service is pinned to others until " + text_of(subject_.confines->pin->until);
      case Exclusion::cost_tier:
        return "cost tier " + std::to_string(policy_.endpoint(excluded.endpoint)->cost_tier) +
               ", and an endpoint of a lower one is usable";
      case Exclusion::unhealthy:
        return state != nullptr && state->dead ? "the endpoint is dead: connecting to it fails"
                                               : "the endpoint's health checks fail";
      case Exclusion::full:
        return std::string(state != nullptr && !state->full ? "its engine has a queue that stays"
                                                            : "the endpoint is at its capacity") +
               ", and another one has room";
      case Exclusion::link_down:
        return "the link is down";
      case Exclusion::over_max_rtt:
        return "rtt " + ms_text(cost.rtt.value_or(Nanos(0)) + cost.declared) +
               " is over the service's max_rtt " + text_of(subject_.max_rtt.value_or(Nanos(0)));
      case Exclusion::model_absent:
        return "the model is absent: not listed by the endpoint";
      case Exclusion::beyond_limit:
        return "behind the " + std::to_string(table::kMaxTiersPerService) + " tiers that a table takes";
    }
    return "";
  }

  const Policy& policy_;
  const Route& route_;
  const Subject& subject_;
  const ServiceRoute* chosen_;
  Instant now_;
  std::map<EndpointId, LinkOrder> own_links_;
};

Explanation explain_forwarded(const Policy& policy, const Route& route, const Policy::Service& service,
                              const IpAddress& client, std::optional<std::uint16_t> client_port,
                              Instant now) {
  const Subject subject{route.service(service.id),
                        service.max_rtt,
                        "new flows",
                        service.refuse == table::Refuse::drop ? "dropped" : "refused",
                        true,
                        &service.confines};
  const Explainer explainer(policy, route, subject, now);
  Explanation out{
      service.name, "", "", client, client_port, explainer.candidates(), explainer.summary(client), ""};
  if (subject.chosen == nullptr || subject.chosen->tiers.empty()) return out;
  out.summary += "; each is a fresh draw by weight";
  if (!client_port) return out;
  out.drawn = explainer.drawn(client, *client_port);
  out.summary += ", and one from port " + std::to_string(*client_port) + " gets " + out.drawn;
  return out;
}

Explanation explain_routed(const Policy& policy, const Route& route, const Policy::RoutedService& service,
                           const Policy::Model& model, const IpAddress& client, Instant now) {
  const std::string& request_class = policy.router.classes[model.request_class].name;
  Explanation out{service.name, model.name, request_class, client, {}, {}, "", ""};
  const auto add = [&](const Policy::Pool& pool, const char* what, const char* otherwise, bool canary) {
    const ServiceRoute* ranked = route.pool(pool.id);
    const ServiceRoute requests = ranked == nullptr ? ServiceRoute{} : of_requests(policy, route, *ranked);
    const Subject subject{&requests, service.max_rtt, what, otherwise, false, &service.confines};
    const Explainer explainer(policy, route, subject, now);
    for (ExplainedCandidate& candidate : explainer.candidates()) {
      candidate.canary = canary;
      out.candidates.push_back(std::move(candidate));
    }
    out.summary += (out.summary.empty() ? "" : "; ") + explainer.summary(client);
  };
  if (model.canary) {
    const std::string share =
        percent_text(model.canary->per_10000 / 10'000.0) + " of requests, by key and session,";
    add(model.canary->pool, share.c_str(), "served as the others", true);
  }
  add(model.pool, model.canary ? "other requests" : "requests", "tried as the last resort or refused", false);
  if (!request_class.empty()) out.summary += "; by the constants of class " + request_class;
  return out;
}

}  // namespace

Result<Explanation> explain(const Policy& policy, const Route& route, std::string_view service,
                            const IpAddress& client, std::optional<std::uint16_t> client_port, Instant now,
                            std::string_view model) {
  if (const Policy::RoutedService* routed = policy.routed_service(service)) {
    const bool only_one = model.empty() && routed->models.size() == 1;
    const Policy::Model* found = only_one ? &routed->models.front() : routed->model(model);
    if (found != nullptr) return explain_routed(policy, route, *routed, *found, client, now);
    std::vector<std::string_view> names;
    for (const Policy::Model& known : routed->models) names.emplace_back(known.name);
    return Error{"", yaml::unknown_name("model", model, names)};
  }
  const Policy::Service* found = policy.service(service);
  if (found == nullptr) {
    std::vector<std::string_view> names;
    for (const Policy::Service& known : policy.services) names.emplace_back(known.name);
    for (const Policy::RoutedService& known : policy.routed) names.emplace_back(known.name);
    return Error{"", yaml::unknown_name("service", service, names)};
  }
  if (!model.empty()) return Error{"", "service " + found->name + " is not routed; it has no models"};
  if (found->deliver == table::Deliver::host)
    return Error{"", "service " + found->name + " is delivered to this host; nothing is chosen for it"};
  return explain_forwarded(policy, route, *found, client, client_port, now);
}

}  // namespace perigee
