// perigee-dataplane: wiring only. The main thread becomes the worker; a second thread follows the table,
// takes signals and writes the log.
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "contract/directory.h"
#include "contract/telemetry_file.h"
#include "dataplane/bootstrap.h"
#include "dataplane/eal.h"
#include "dataplane/event.h"
#include "dataplane/forward.h"
#include "dataplane/port.h"
#include "dataplane/reload.h"
#include "dataplane/worker.h"
#include "perigee_version.h"

namespace perigee {
namespace {

constexpr std::uint32_t kBuffersPerMb = 128;  // 2.4 KB each: a third of --memory, the rest is the drivers'
constexpr int kLookEveryMs = 1000;            // at the table directory, besides inotify
constexpr int kAcknowledgeEveryMs = 1;        // while a table was offered and is not taken

Result<std::string> read_config(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return Error{path, "cannot be read"};
  if (text.str().size() > kMaxConfigSize) return Error{path, "is larger than any bootstrap file"};
  return Result<std::string>(boost::system::in_place_value, text.str());
}

// A directory of ours with its lock, for as long as this lives.
struct OwnDirectory {
  Descriptor directory, lock;
};

Result<OwnDirectory> take_directory(const std::string& path) {
  Result<Descriptor> directory = open_directory(path);
  if (!directory) return directory.error();
  Result<Descriptor> lock = lock_directory(*directory, path);
  if (!lock) return lock.error();
  return OwnDirectory{std::move(*directory), std::move(*lock)};
}

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Table, signals, log: until a signal asks to stop.
struct Control {
  Reloader& reloader;
  HandoverRing<Event>& events;
  const Descriptor& event_call;  // an eventfd: the worker reported something
  const Descriptor& signals;     // a signalfd

  void run() {
    for (bool stop = false; !stop;) {
      reloader.look(monotonic_now());
      std::array polled = {pollfd{signals.get(), POLLIN, 0}, pollfd{event_call.get(), POLLIN, 0},
                           pollfd{reloader.descriptor(), POLLIN, 0}};
      poll(polled.data(), polled.size(), reloader.waiting() ? kAcknowledgeEveryMs : kLookEveryMs);
      std::uint64_t calls = 0;
      [[maybe_unused]] const ssize_t size = read(event_call.get(), &calls, sizeof calls);
      for (Event event; events.pop(event);) write_log(event);
      stop = (polled[0].revents & POLLIN) != 0;
    }
  }
};

std::uint64_t random_seed() {
  std::random_device source;
  return static_cast<std::uint64_t>(source()) << 32U | source();
}

// What DPDK holds, in the order it is made; given back in reverse.
struct Devices {
  Eal eal;
  Mempool pool;
  std::vector<Port> ports;
};

Result<Devices> open_devices(const Bootstrap& bootstrap) {
  Result<Eal> eal = Eal::start(bootstrap);
  if (!eal) return eal.error();
  if (!eal->hugepages() && !bootstrap.no_huge) write_log("no_hugepages", {{"using", "ordinary pages"}});
  Result<Mempool> pool = make_mempool("packets", bootstrap.memory_mb * kBuffersPerMb);
  if (!pool) return pool.error();
  Devices devices{std::move(*eal), std::move(*pool), {}};
  devices.ports.reserve(bootstrap.ports.size());
  for (const PortSetting& setting : bootstrap.ports) {
    Result<Port> port = Port::open(setting, *devices.pool);
    if (!port) return port.error();
    write_log(port->is_up() ? "port_up" : "port_down",
              {{"port", port->name()}, {"device", setting.device}, {"mac", port->mac().text()}});
    devices.ports.push_back(std::move(*port));
  }
  return devices;
}

Result<telemetry::Writer> open_telemetry(const Bootstrap& bootstrap) {
  telemetry::Writer::Shape shape;
  shape.flow_capacity = bootstrap.flows;
  for (const PortSetting& port : bootstrap.ports) shape.ports.push_back(port.name);
  return telemetry::Writer::create(bootstrap.telemetry_dir, shape);
}

Result<std::unique_ptr<Forwarder>> open_forwarder(const Bootstrap& bootstrap, telemetry::Layout& telemetry) {
  Forwarder::Options options;
  options.state_directory = bootstrap.state_dir;
  options.flow_capacity = bootstrap.flows;
  options.counters = &telemetry.workers[0];
  options.endpoints = telemetry.endpoints;
  options.paths = &telemetry.paths;
  auto forwarder = Forwarder::open(options, monotonic_now());
  if (!forwarder) return forwarder;
  for (const std::string& notice : (*forwarder)->notices()) write_log("flow_state", {{"notice", notice}});
  return forwarder;
}

Result<void> serve(const Bootstrap& bootstrap) {
  // Blocked before any thread exists, so that only the control thread's descriptor gets them.
  const sigset_t signal_set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signal_set, nullptr);
  const Descriptor signals(signalfd(-1, &signal_set, SFD_NONBLOCK | SFD_CLOEXEC));
  const Descriptor event_call(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

  const Result<OwnDirectory> telemetry_dir = take_directory(bootstrap.telemetry_dir);
  if (!telemetry_dir) return telemetry_dir.error();
  const Result<OwnDirectory> state_dir = take_directory(bootstrap.state_dir);
  if (!state_dir) return state_dir.error();

  cpu_set_t everywhere;  // EAL pins this thread; the control thread goes back to where we may run
  sched_getaffinity(0, sizeof everywhere, &everywhere);
  Result<Devices> devices = open_devices(bootstrap);
  if (!devices) return devices.error();
  Result<telemetry::Writer> telemetry = open_telemetry(bootstrap);
  if (!telemetry) return telemetry.error();
  const Result<std::unique_ptr<Forwarder>> forwarder = open_forwarder(bootstrap, telemetry->layout());
  if (!forwarder) return forwarder.error();

  Mailbox<ServingTable> tables;
  HandoverRing<Event> events(kEventRing);
  const auto wake_control = [&event_call] {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t size = write(event_call.get(), &one, sizeof one);
  };
  Worker worker({devices->ports, *devices->pool, telemetry->layout(), **forwarder, tables, events,
                 wake_control, bootstrap.flows, bootstrap.busy, monotonic_now, random_seed()});
  std::vector<std::uint16_t> mtus;
  for (const Port& port : devices->ports) mtus.push_back(port.mtu());
  Reloader reloader(
      {bootstrap.table_dir, bootstrap.table_owner, bootstrap.ports, mtus, tables, *telemetry,
       [&worker] { worker.wake(); },
       [](std::string_view event, const std::vector<LogField>& fields) { write_log(event, fields); }});

  write_log("started", {{"version", kVersion}, {"pid", std::to_string(getpid())}});
  std::atomic<bool> stop{false};
  std::thread control([&] {
    pthread_setaffinity_np(pthread_self(), sizeof everywhere, &everywhere);
    Control{reloader, events, event_call, signals}.run();
    stop.store(true, std::memory_order_relaxed);
    worker.wake();
  });
  worker.run(stop);
  control.join();
  write_log("stopped", {});
  return {};
}

int run(std::span<const std::string> arguments) {
  const Invocation invocation = parse_invocation(arguments, read_config);
  if (invocation.purpose == Purpose::help) return std::fputs(usage().c_str(), stdout) < 0 ? 1 : 0;
  if (invocation.purpose == Purpose::version)
    return std::printf("perigee-dataplane %s\n", kVersion) < 0 ? 1 : 0;
  for (const Error& error : invocation.errors) std::fprintf(stderr, "%s\n", error.text().c_str());
  if (!invocation.errors.empty()) return 2;
  if (const Result<void> served = serve(invocation.bootstrap); !served) {
    write_log("failed", {{"reason", served.error().text()}});
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace perigee

int main(int argc, char** argv) {
  // A log reader that went away must not take the packet path with it.
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return perigee::run(arguments);
}
