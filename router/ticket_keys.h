// The keys that TLS session tickets are sealed with.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "contract/error.h"
#include "contract/units.h"

namespace perigee::router {

// Shared by all threads and all listeners, so that a client may resume at any of them. Never stored. The key
// to seal with is at most an hour old, and one opens tickets until it is three, so that a ticket lives at
// least two hours.
class TicketKeys {
 public:
  static constexpr Nanos kRotation = std::chrono::hours(1);
  static constexpr std::size_t kGenerations = 3;
  static constexpr std::size_t kNameOctets = 16;

  struct Key {
    std::array<unsigned char, kNameOctets> name{};
    std::array<unsigned char, 32> cipher{};  // AES-256
    std::array<unsigned char, 32> mac{};     // HMAC-SHA256
  };
  struct Found {
    Key key;
    bool newest = false;  // else the client should get a new ticket
  };

  // Fails when the system gives no random octets.
  static Result<std::shared_ptr<TicketKeys>> create(Instant now);
  ~TicketKeys();

  // To seal with; made now when the last one is too old.
  [[nodiscard]] Key newest(Instant now);
  // The key a ticket names; nothing when it is none of ours or too old.
  [[nodiscard]] std::optional<Found> find(std::span<const unsigned char, kNameOctets> name, Instant now);

 private:
  struct Aged {
    Key key;
    Instant made;
  };

  TicketKeys() = default;
  bool rotate(Instant now);

  std::mutex mutex_;                       // once for each handshake, which costs a thousand times as much
  std::array<Aged, kGenerations> keys_{};  // newest first; those never made are too old
};

}  // namespace perigee::router
