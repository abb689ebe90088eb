// What each path of the admin API answers. No sockets: a request value in, a response value out.
#pragma once

#include <functional>
#include <memory>

#include "gateway/admin_message.h"
#include "gateway/control_service.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/snapshot.h"
#include "router/snapshot.h"

namespace perigee::gateway {

class Admin {
 public:
  // `service` carries out changes, on its own io_context; the caller's coroutine goes on where it was.
  // `more`: metrics beside those of the snapshot.
  // `router`: what decides routed requests now; null, or giving null, when nothing does.
  using RouterNow = std::function<std::shared_ptr<const router::RouterSnapshot>()>;
  Admin(const SnapshotCell& cell, ControlService& service, const Log& log, Metrics::More more = {},
        RouterNow router = {});

  // Never throws. Only a request with peer credentials (from the Unix socket) may change anything.
  boost::asio::awaitable<AdminResponse> handle(AdminRequest request);

 private:
  boost::asio::awaitable<AdminResponse> change(AdminRequest request);
  [[nodiscard]] AdminResponse plan_change(const AdminRequest& request) const;
  [[nodiscard]] AdminResponse read(const AdminRequest& request) const;
  [[nodiscard]] AdminResponse explain_service(std::string_view path, std::string_view query) const;

  const SnapshotCell& cell_;
  ControlService& service_;
  const Log& log_;
  Metrics metrics_;
  RouterNow router_;
};

}  // namespace perigee::gateway
