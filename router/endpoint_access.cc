#include "router/endpoint_access.h"

#include "router/credential.h"

namespace perigee::router {

EndpointAccesses load_endpoint_access(const Policy& policy) {
  EndpointAccesses out;
  for (const Policy::Endpoint& endpoint : policy.endpoints) {
    EndpointAccess& access = out.each.emplace_back();
    const auto take = [&](auto loaded, auto& into, const char* key) {
      if (loaded)
        into = std::move(*loaded);
      else
        out.errors.push_back({"endpoints." + endpoint.name + key, loaded.error().text()});
    };
    if (endpoint.tls) take(TlsClient::load(*endpoint.tls), access.tls, ".tls");
    take(authorization(endpoint.credential), access.authorization, ".credential");
  }
  return out;
}

}  // namespace perigee::router
