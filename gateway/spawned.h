// How coroutines end that were started and are not waited for: nothing they throw is lost.
#pragma once

#include <exception>

#include "gateway/log.h"

namespace perigee::gateway {

// For what the program cannot do without: the exception leaves the run() of its io_context, and main ends the
// program, to be started again.
inline constexpr auto kOrEnd = [](const std::exception_ptr& thrown) {
  if (thrown) std::rethrow_exception(thrown);
};

// For one of many, as a connection: a line says so, and the others go on.
class OrLog {
 public:
  OrLog(const Log& log, const char* what) : log_(&log), what_(what) {}

  template <class... Result>
  void operator()(const std::exception_ptr& thrown, Result&&... /*unused*/) const {
    if (!thrown) return;
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& failure) {
      log_->write(LogLevel::error, "failed", {{"what", what_}, {"reason", failure.what()}});
    }
  }

 private:
  const Log* log_;
  const char* what_;
};

}  // namespace perigee::gateway
