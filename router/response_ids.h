// Where responses are: an engine keeps those it made, so a request that names one goes to the endpoint that
// has it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "contract/units.h"

namespace perigee::router {

// Ids that endpoints gave, each known to the API key alone that it was given to. Written and read by all
// threads of the router. Bounded: in a full set a new id takes the place of the oldest one of the key that
// has the most there, so that a key that is given many loses its own. Nothing survives the process.
class ResponseIds {
 public:
  static constexpr std::size_t kSets = 4096;
  static constexpr std::size_t kWays = 8;                 // of a set; with kSets 32768 ids, 1.3 MiB
  static constexpr std::size_t kMaxOctets = 256;          // of an id: JsonScanner keeps no longer one
  static constexpr Nanos kLife = std::chrono::hours(24);  // engines keep responses for less

  struct Place {
    EndpointId endpoint;
    std::uint32_t pool = 0;  // RouterSnapshot::Pool::id, where the model is found by
    friend bool operator==(const Place&, const Place&) = default;
  };

  ResponseIds();
  ~ResponseIds();
  ResponseIds(const ResponseIds&) = delete;
  ResponseIds& operator=(const ResponseIds&) = delete;

  // `key`: the id of the API key; empty: of requests without one. An id that is empty, too long or not plain
  // visible ASCII is not learned, nor one that is known to another key: an engine may let its client choose
  // an id.
  void learn(std::string_view key, std::string_view id, Place place, Instant now);
  // nullopt: there is none of that id for that key.
  [[nodiscard]] std::optional<Place> find(std::string_view key, std::string_view id, Instant now);

 private:
  struct Set;
  using Name = std::array<std::uint64_t, 2>;  // of SHA-256: nobody makes two texts that are alike
  static Name name_of(std::string_view text);
  Set& set_of(const Name& name) const;

  std::unique_ptr<std::array<Set, kSets>> sets_;
};

// The id of one answer, to be learned on its way to the client.
struct ResponseBinding {
  ResponseIds* ids = nullptr;  // null: nothing is to be learned
  std::string_view key;
  ResponseIds::Place place;
};

}  // namespace perigee::router
