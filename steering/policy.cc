#include "steering/policy.h"

#include <algorithm>

namespace perigee {
namespace {

template <class Items, class Wanted, class Member>
auto find(const Items& items, const Wanted& wanted, Member member) -> const typename Items::value_type* {
  for (const auto& item : items)
    if (item.*member == wanted) return &item;
  return nullptr;
}

}  // namespace

const Policy::Link* Policy::link(LinkId id) const { return find(links, id, &Link::id); }
const Policy::Link* Policy::link(std::string_view name) const { return find(links, name, &Link::name); }
const Policy::Endpoint* Policy::endpoint(EndpointId id) const { return find(endpoints, id, &Endpoint::id); }
const Policy::Endpoint* Policy::endpoint(std::string_view name) const {
  return find(endpoints, name, &Endpoint::name);
}
const Policy::Service* Policy::service(ServiceId id) const { return find(services, id, &Service::id); }
const Policy::Service* Policy::service(std::string_view name) const {
  return find(services, name, &Service::name);
}
const Policy::Pop* Policy::pop(PopId id) const { return find(pops, id, &Pop::id); }

const Policy::RoutedService* Policy::routed_service(std::string_view name) const {
  return find(routed, name, &RoutedService::name);
}
const Policy::Model* Policy::RoutedService::model(std::string_view asked) const {
  for (const Model& model : models)
    if (model.name == asked ||
        std::find(model.aliases.begin(), model.aliases.end(), asked) != model.aliases.end())
      return &model;
  return nullptr;
}

std::optional<Nanos> Policy::onward(const Link& link, std::size_t pop_index) const {
  if (link.pop == pop_index) return Nanos(0);
  for (const Reach& reach : link.reaches)
    if (reach.pop == pop_index) return reach.rtt;
  return std::nullopt;
}

std::optional<std::size_t> Policy::interface_to(const IpAddress& address) const {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    const Interface& interface = interfaces[i];
    if (interface.subnet().contains(address)) return i;
    if (!interface.gateway.none()) found = i;
  }
  return found;
}

Prefix Policy::Interface::subnet() const {
  const std::uint32_t mask = prefix_length == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix_length);
  return {IpAddress::v4(address.v4_value() & mask), prefix_length};
}

const char* name_of(Policy::Protocol protocol) {
  if (protocol == Policy::Protocol::any) return "any";
  return protocol == Policy::Protocol::udp ? "udp" : "tcp";
}

const char* name_of(Policy::Health::Type type) {
  switch (type) {
    case Policy::Health::Type::none:
      return "none";
    case Policy::Health::Type::tcp:
      return "tcp";
    case Policy::Health::Type::http:
      return "http";
    case Policy::Health::Type::https:
      return "https";
  }
  return "none";
}

}  // namespace perigee
