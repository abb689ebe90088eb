// DPDK's environment: started once per process, with the flags that suit a gateway.
#pragma once

#include <string>
#include <vector>

#include "contract/error.h"
#include "dataplane/bootstrap.h"

namespace perigee {

// The arguments of rte_eal_init() for a bootstrap, the program's name first. `hugepages`: whether they are to
// be used. Every device carries its defaults where the operator gave none.
std::vector<std::string> eal_arguments(const Bootstrap& bootstrap, bool hugepages);

// Started EAL; cleans up on destruction, on the thread that made it. That thread becomes EAL's main lcore.
class Eal {
 public:
  // Falls back to ordinary pages where the system has not enough free hugepages.
  static Result<Eal> start(const Bootstrap& bootstrap);

  Eal(Eal&& other) noexcept;
  Eal& operator=(Eal&&) = delete;
  ~Eal();

  [[nodiscard]] bool hugepages() const { return hugepages_; }

 private:
  explicit Eal(bool hugepages) : active_(true), hugepages_(hugepages) {}

  bool active_;
  bool hugepages_;
};

}  // namespace perigee
