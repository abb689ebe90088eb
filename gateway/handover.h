// An upgrade without a gap: the process that serves hands the lock of the table directory and its listening
// sockets to the one that takes its place, over a Unix socket. Connections that wait in those sockets are
// never refused; streams that run go on in the old process until they end or its drain deadline comes.
//
//   new: connects                    old: decides nothing any more, sends the lock and the sockets
//   new: loads its policy, serves    (goes away instead: the old one goes on as if nothing had been)
//   new: "ready"                     old: closes its admin API, says "done", drains, ends
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <optional>
#include <string>
#include <vector>

#include "contract/directory.h"
#include "contract/error.h"
#include "gateway/log.h"

namespace perigee::gateway {

// What the new process got.
class Handover {
 public:
  // nullopt: nobody serves at `path`. Errors: somebody does and hands nothing over, or is another user.
  static Result<std::optional<Handover>> ask(const std::string& path);

  [[nodiscard]] Descriptor take_lock() { return std::move(lock_); }
  [[nodiscard]] std::vector<Descriptor> take_sockets() { return std::move(sockets_); }
  // We serve. Returns once the old process has let go of all it had alone.
  Result<void> ready();

 private:
  Descriptor connection_;
  Descriptor lock_;
  std::vector<Descriptor> sockets_;
};

// What the old process has to do.
class Predecessor {
 public:
  // Stop deciding. The lock first, then the sockets; owned by the caller. Empty: not now.
  virtual std::vector<Descriptor> give() = 0;
  virtual void keep() = 0;   // the new one went away: go on
  virtual void leave() = 0;  // the new one serves: close the admin API now, and drain

 protected:
  ~Predecessor() = default;
};

class HandoverServer {
 public:
  static constexpr std::chrono::seconds kReadyWithin{60};  // a policy is loaded in less

  // Both outlive it; all runs on `io`.
  HandoverServer(boost::asio::io_context& io, Predecessor& predecessor, const Log& log);
  ~HandoverServer();

  // Mode 0600. A socket file that is there is replaced: whoever had it has handed over, or is dead.
  Result<void> listen(const std::string& path);

 private:
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<bool> is_ready(boost::asio::posix::stream_descriptor& connection);

  boost::asio::io_context& io_;
  Predecessor& predecessor_;
  const Log& log_;
  std::string path_;
  std::optional<boost::asio::posix::stream_descriptor> listening_;
};

}  // namespace perigee::gateway
