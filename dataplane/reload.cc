#include "dataplane/reload.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "contract/table_file.h"

namespace perigee {
namespace {

std::vector<LogField> identity_fields(const table::Identity& identity) {
  return {{"gateway_instance", std::to_string(identity.gateway_instance)},
          {"generation", std::to_string(identity.generation)}};
}

}  // namespace

Reloader::Reloader(Wiring wiring) : wiring_(std::move(wiring)) {}

void Reloader::watch() {
  Descriptor inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const int added =
      inotify_add_watch(inotify.get(), wiring_.directory.c_str(),
                        IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
  if (added >= 0) watch_ = std::move(inotify);
}

// Which file changed is of no interest: ours is looked at anyway. A directory that is no longer at its path
// is watched anew.
void Reloader::drain_watch() {
  alignas(inotify_event) std::array<char, 4096> notices;
  bool gone = false;
  for (ssize_t size = 0; (size = ::read(watch_.get(), notices.data(), notices.size())) > 0;) {
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(size);) {
      inotify_event notice{};
      std::memcpy(&notice, notices.data() + at, sizeof notice);
      gone = gone || (notice.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0;
      at += sizeof notice + notice.len;
    }
  }
  if (gone) watch_ = Descriptor();
}

std::optional<Reloader::FileStamp> Reloader::stamp() const {
  struct stat info {};
  const std::string path = wiring_.directory + "/" + table::kFileName;
  if (lstat(path.c_str(), &info) != 0) return std::nullopt;
  return FileStamp{info.st_dev, info.st_ino, info.st_size,
                   info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

void Reloader::look(Instant now) {
  if (!watch_.valid()) watch();
  if (!watch_.valid() && !std::exchange(told_, true)) {
    wiring_.log("table_directory_missing", {{"directory", wiring_.directory}});
  }
  if (watch_.valid()) drain_watch();
  acknowledge(now);
  if (waiting()) return;  // one at a time; the file is still there afterwards
  const std::optional<FileStamp> current = stamp();
  if (!current || current == seen_) return;
  seen_ = current;
  read(now);
}

void Reloader::read(Instant now) {
  Result<table::Table> table = table::read_file(wiring_.directory, wiring_.owner);
  if (!table) {
    // What is wrong may lie beside the file, as the rights of its directory: tried again, and told once.
    const auto stamp_read = std::exchange(seen_, std::nullopt);
    const std::string reason = table.error().text();
    if (stamp_read == unreadable_ && reason == unreadable_reason_) return;
    unreadable_ = stamp_read;
    unreadable_reason_ = reason;
    return refuse(table::Identity{}, reason, now);
  }
  const table::Identity identity = table->identity;
  if (identity == in_force_) return;
  auto serving = ServingTable::build(std::move(*table), wiring_.ports);
  if (!serving) return refuse(identity, serving.error().text(), now);
  if (const Result<void> fits = check_mtus(**serving); !fits) {
    return refuse(identity, fits.error().text(), now);
  }
  if (!wiring_.tables.offer(std::move(*serving))) return;
  offered_ = identity;
  wiring_.wake_worker();
}

// A device drops what is larger than its MTU and tells nobody, so a table that would send it is refused.
Result<void> Reloader::check_mtus(const ServingTable& table) const {
  const auto check = [&](const std::string& what, std::uint16_t port, std::uint16_t mtu) -> Result<void> {
    if (mtu <= wiring_.mtus[port]) return {};
    return Error{what, "has mtu " + std::to_string(mtu) + "; its port " + wiring_.ports[port].name +
                           " carries " + std::to_string(wiring_.mtus[port])};
  };
  const table::Table& record = table.table();
  for (std::uint32_t i = 0; i < record.links.size(); ++i) {
    const std::string what = "link " + std::string(record.links[i].name.view());
    if (Result<void> fits = check(what, table.link(i).port, table.link(i).mtu); !fits) return fits;
  }
  for (std::uint32_t i = 0; i < record.interfaces.size(); ++i) {
    const std::string what = "interface " + std::to_string(i);
    if (Result<void> fits = check(what, table.interface(i).port, table.interface(i).mtu); !fits) return fits;
  }
  return {};
}

void Reloader::refuse(const table::Identity& identity, const std::string& reason, Instant now) {
  wiring_.telemetry.set_refused(identity, reason, now);
  std::vector<LogField> fields = identity_fields(identity);
  fields.emplace_back("reason", reason);
  wiring_.log("table_refused", fields);
}

void Reloader::acknowledge(Instant now) {
  if (!offered_ || !wiring_.tables.settled()) return;
  in_force_ = std::exchange(offered_, std::nullopt);
  wiring_.telemetry.set_in_force(*in_force_, now);
  wiring_.log("table_in_force", identity_fields(*in_force_));
}

}  // namespace perigee
