// perigee-gateway: builds every part and shows how they are wired. Two threads: control (ticks, health
// checks, changes of policy, signals) and admin (HTTP); they meet in the snapshot cell.
#include <malloc.h>
#include <sys/resource.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/program_options.hpp>
#include <csignal>
#include <functional>
#include <future>
#include <iostream>
#include <optional>
#include <thread>

#include "gateway/admin.h"
#include "gateway/admin_server.h"
#include "gateway/control_service.h"
#include "gateway/handover.h"
#include "gateway/log.h"
#include "gateway/routing.h"
#include "gateway/spawned.h"
#include "perigee_version.h"
#include "steering/policy_yaml.h"

namespace {

namespace asio = boost::asio;
namespace options = boost::program_options;
using namespace perigee;
using namespace perigee::gateway;

enum ExitStatus : int { kOk = 0, kFailed = 1, kInvalid = 2 };

// How often a drain looks whether it is over, and how often again once everything was told to end.
constexpr std::chrono::milliseconds kDrainLook{20};
constexpr int kLastLooks = 50;
// What could not be opened after a handover is tried so often, and told of each so many times.
constexpr std::chrono::seconds kOpenAgain{1};
constexpr int kTellEvery = 60;

struct Arguments {
  std::string policy;
  ControlLoop::Places places;
  std::string handover;
  LogLevel log_level = LogLevel::info;
  bool check = false;
};

// The arguments, or the status to leave with at once.
boost::system::result<Arguments, ExitStatus> parse_arguments(int argc, char** argv) {
  Arguments arguments;
  std::string log_level;
  std::uint32_t owner = 0;
  options::options_description known("perigee-gateway decides where a PoP's traffic goes.\nOptions");
  auto add = known.add_options();
  add("policy", options::value(&arguments.policy)->required()->value_name("FILE"), "the policy in YAML");
  add("table-dir", options::value(&arguments.places.table_directory)->value_name("DIR"),
      "where the forwarding table is published; ours alone to write");
  add("telemetry-dir", options::value(&arguments.places.telemetry_directory)->value_name("DIR"),
      "where the data plane writes what it measured");
  add("dataplane-owner", options::value(&owner)->value_name("UID"),
      "user that may own the telemetry, besides ours and root");
  add("handover", options::value(&arguments.handover)->value_name("SOCKET"),
      "take the place of the gateway that serves there, if one does, and be replaced there in turn");
  add("log-level", options::value(&log_level)->default_value("info")->value_name("LEVEL"),
      "debug, info, warning or error");
  add("check", "say whether the policy is valid, and leave (0 valid, 2 invalid)");
  add("help,h", "show this");
  add("version", "show the version");
  try {
    options::variables_map given;
    options::store(options::parse_command_line(argc, argv, known), given);
    if (given.count("help") > 0) {
      std::cout << known;
      return kOk;
    }
    if (given.count("version") > 0) {
      std::cout << "perigee-gateway " << kVersion << "\n";
      return kOk;
    }
    options::notify(given);
    arguments.check = given.count("check") > 0;
    if (given.count("dataplane-owner") > 0) arguments.places.dataplane_owner = owner;
  } catch (const options::error& error) {
    std::cerr << "perigee-gateway: " << error.what() << "; --help shows the options\n";
    return kFailed;
  }
  const auto level = parse_log_level(log_level);
  const bool directories =
      !arguments.places.table_directory.empty() && !arguments.places.telemetry_directory.empty();
  if (!level || (!arguments.check && !directories)) {
    std::cerr << "perigee-gateway: "
              << (level ? "--table-dir and --telemetry-dir are needed" : "--log-level is not a level")
              << "; --help shows the options\n";
    return kFailed;
  }
  arguments.log_level = *level;
  return arguments;
}

ExitStatus check_policy(const std::string& path) {
  const auto policy = load_policy(path);
  if (!policy) {
    std::cerr << text_of(policy.error());
    return kInvalid;
  }
  std::cout << path << ": valid\n";
  return kOk;
}

// A health check takes a descriptor, and there may be thousands of endpoints.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Bodies of requests come and go by the hundred. To give their memory back to the system each time and have
// it anew costs twice as much as all else that is done with a prompt of 220 KB.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);    // above what is held of a body: that comes from a heap
  ::mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);  // free at the top of a heap; half of what bodies may hold
}

// Until what is served now is over, its time is over, or a second signal comes.
asio::awaitable<void> drain(asio::io_context& io, RouterRouting& routing, const bool& hurry) {
  const Instant deadline = monotonic_now() + routing.drain_deadline();
  asio::steady_timer timer(io);
  routing.drain();
  while (!hurry && monotonic_now() < deadline && routing.connections() > 0) {
    timer.expires_after(kDrainLook);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  routing.end_drain();
  for (int i = 0; i < kLastLooks && routing.connections() > 0; ++i) {
    timer.expires_after(kDrainLook);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  io.stop();
}

// SIGHUP reloads; SIGTERM and SIGINT end, the second one at once. The table stays: the data plane goes on by
// it.
asio::awaitable<void> obey(asio::signal_set& signals, ControlService& service, RouterRouting& routing,
                           const Log& log) {
  bool stopping = false;
  bool hurry = false;
  while (true) {
    auto [error, number] = co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    if (number == SIGHUP) {
      if (!stopping) asio::co_spawn(service.io(), service.reload(), OrLog(log, "reload"));
      continue;
    }
    hurry = stopping;
    if (stopping) continue;
    stopping = true;
    log.write(LogLevel::info, "stopping");
    service.stopping();
    asio::co_spawn(service.io(), drain(service.io(), routing, hurry), kOrEnd);
  }
}

// What an upgrade does to this process.
class ThisGateway final : public Predecessor {
 public:
  ThisGateway(ControlService& service, RouterRouting& routing, AdminServer& server,
              asio::io_context& admin_io)
      : service_(service), routing_(routing), server_(server), admin_io_(admin_io) {}

  std::vector<Descriptor> give() override {
    std::vector<Descriptor> out;
    if (!service_.hold()) return out;
    out.push_back(service_.loop().lock());
    for (Descriptor& socket : routing_.sockets()) out.push_back(std::move(socket));
    return out;
  }
  void keep() override { service_.let_go(); }
  void leave() override {
    std::promise<void> closed;
    asio::post(admin_io_, [this, &closed] {
      server_.close();
      closed.set_value();
    });
    closed.get_future().wait();
    asio::co_spawn(service_.io(), drain(service_.io(), routing_, hurry_), kOrEnd);
  }

 private:
  ControlService& service_;
  RouterRouting& routing_;
  AdminServer& server_;
  asio::io_context& admin_io_;
  const bool hurry_ = false;
};

// On a second call, what is not open yet.
Result<void> listen(AdminServer& server, const Policy::Admin& admin, const Log& log) {
  if (server.closed()) return {};  // the addresses are the next one's
  const std::string host =
      admin.listen_address.is_v4() ? admin.listen_address.text() : "[" + admin.listen_address.text() + "]";
  auto tcp = server.listen_tcp(host + ":" + std::to_string(admin.listen_port));
  auto unix = server.listen_unix(admin.socket);
  if (!tcp) return tcp;
  if (!unix) return unix;
  log.write(LogLevel::info, "admin_listening",
            {{"address", host}, {"port", server.tcp_port()}, {"socket", admin.socket}});
  return {};
}

// The gateway before is gone, so that leaving would end the service: we go on without, until it opens.
asio::awaitable<void> open_later(asio::io_context& io, std::function<Result<void>()> open, const Log& log) {
  asio::steady_timer timer(io);
  for (int tries = 0; true; ++tries) {
    const auto opened = open();
    if (opened) co_return;
    if (tries % kTellEvery == 0)
      log.write(LogLevel::error, "cannot_open", {{"reason", opened.error().text()}});
    timer.expires_after(kOpenAgain);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

// Neither thread goes on without the other. After a handover the admin API has nothing left to do, and waits.
ExitStatus serve(asio::io_context& control_io, asio::io_context& admin_io, const Log& log) {
  std::atomic<bool> failed = false;
  const auto run_all = [&](asio::io_context& io, const char* thread) {
    const auto work = asio::make_work_guard(io);
    try {
      io.run();
    } catch (const std::exception& thrown) {
      log.write(LogLevel::error, "thread_failed", {{"thread", thread}, {"reason", thrown.what()}});
      failed = true;
    }
    control_io.stop();
    admin_io.stop();
  };
  std::thread admin_thread([&] { run_all(admin_io, "admin"); });
  run_all(control_io, "control");
  admin_thread.join();
  return failed ? kFailed : kOk;
}

ExitStatus run(const Arguments& arguments) {
  const Log log(arguments.log_level);
  SnapshotCell cell;
  const auto cannot_start = [&log](const std::string& reason) {
    log.write(LogLevel::error, "cannot_start", {{"reason", reason}});
    return kFailed;
  };
  std::optional<Handover> before;
  if (!arguments.handover.empty()) {
    auto asked = Handover::ask(arguments.handover);
    if (!asked) return cannot_start(asked.error().text());
    before = std::move(*asked);
  }
  auto loop = ControlLoop::open(arguments.places, log, cell, before ? before->take_lock() : Descriptor());
  if (!loop) return cannot_start(loop.error().text());
  raise_descriptor_limit();
  keep_freed_memory();
  std::signal(SIGPIPE, SIG_IGN);
  log.write(LogLevel::info, "starting", {{"version", kVersion}, {"policy", arguments.policy}});

  // Destroyed in reverse: a change in flight on control_io holds the admin coroutine that waits for it.
  asio::io_context admin_io(1);
  asio::io_context control_io(1);
  asio::signal_set signals(control_io, SIGHUP, SIGTERM, SIGINT);  // from here on none is lost or kills
  RouterRouting routing(log, before ? before->take_sockets() : std::vector<Descriptor>());
  ControlService service(control_io, std::move(*loop), PolicyFile(arguments.policy), log,
                         ControlService::kAcknowledgeWithin, &routing);
  Admin admin(
      cell, service, log, [&routing] { return routing.families(); },
      [&routing] { return routing.snapshot(); });
  AdminServer server(
      admin_io, [&admin](AdminRequest request) { return admin.handle(std::move(request)); }, log);

  if (!service.start()) {  // the table stays, and with --handover the gateway before goes on
    cannot_start("the policy is invalid");
    return kInvalid;
  }
  if (before)
    if (auto ready = before->ready(); !ready) return cannot_start(ready.error().text());
  ThisGateway gateway(service, routing, server, admin_io);
  HandoverServer handover(control_io, gateway, log);
  const auto listen_admin = [&server, admin = service.loop().policy()->admin, &log] {
    return listen(server, admin, log);
  };
  const auto listen_handover = [&handover, &arguments]() -> Result<void> {
    return arguments.handover.empty() ? Result<void>() : handover.listen(arguments.handover);
  };
  if (before) {
    asio::co_spawn(admin_io, open_later(admin_io, listen_admin, log), kOrEnd);
    asio::co_spawn(control_io, open_later(control_io, listen_handover, log), kOrEnd);
  } else {
    if (auto opened = listen_admin(); !opened) return cannot_start(opened.error().text());
    if (auto opened = listen_handover(); !opened) return cannot_start(opened.error().text());
  }
  asio::co_spawn(control_io, obey(signals, service, routing, log), kOrEnd);
  return serve(control_io, admin_io, log);
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse_arguments(argc, argv);
  if (!arguments) return arguments.error();
  try {
    return arguments->check ? check_policy(arguments->policy) : run(*arguments);
  } catch (const std::exception& thrown) {
    std::cerr << "perigee-gateway: " << thrown.what() << "\n";
    return kFailed;
  }
}
