// A request's body between client and endpoint: scanned while it comes, held while it may have to be sent
// again, sent with the few changes that the endpoint needs.
//
// A body of at most `hold` octets is held whole and goes out once the scan is clean. A larger one goes out as
// soon as its model is known; its last octet then waits for the end of the scan, so that no endpoint ever has
// the whole of a body that is refused.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "router/exchange.h"
#include "router/json_scan.h"
#include "router/multipart_scan.h"
#include "router/openai.h"

namespace perigee::router {

// Octets of bodies that all sessions of the process hold.
struct HeldOctets {
  alignas(64) std::atomic<std::uint64_t> now{0};
};

struct BodyLimits {
  std::uint64_t octets = 0;    // of one body: 413 past it
  std::uint64_t hold = 0;      // of one body, held at a time
  std::uint64_t all_held = 0;  // of all bodies: 503 past it
};

// Where sending a body is: its next octet, or in an edit's insertion.
struct BodyCursor {
  std::uint64_t next = 0;
  std::size_t edit = 0;
  std::size_t inserted = 0;  // of that edit's octets
};

class HeldBody {
 public:
  HeldBody(Exchange& exchange, HeldOctets& all, const BodyLimits& limits)
      : exchange_(exchange), all_(all), limits_(limits) {}
  ~HeldBody();
  HeldBody(const HeldBody&) = delete;
  HeldBody& operator=(const HeldBody&) = delete;

  // What the body must be, and whether it fits as far as the head tells. An error is for the client.
  [[nodiscard]] std::optional<ApiError> expect(Operation operation);

  enum class Progress : std::uint8_t {
    again,     // not enough has come
    routable,  // the model is known, and sending may begin
    refused,   // error() is for the client
    gone,      // the client went
  };
  // Takes in and scans what has come.
  Progress read();
  [[nodiscard]] const ApiError& error() const { return error_; }
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }  // octets that have come
  // Its first octets, at most `most`: of what has come and is held.
  [[nodiscard]] std::string_view beginning(std::size_t most) const {
    return std::string_view(held_).substr(0, most);
  }

  // Of the scan; the model is empty when the operation has no body.
  [[nodiscard]] std::string_view model() const;
  [[nodiscard]] bool stream() const;
  [[nodiscard]] const JsonFacts* json() const;  // null: the body is not JSON

  // Once routable: the changes for the endpoints of this request. A body that is not complete is not made to
  // ask for usage.
  void prepare(std::string_view served_name, bool include_usage);
  [[nodiscard]] bool asks_usage() const { return asks_usage_; }  // for us: the client did not
  // Octets that will be sent; absent while the client has not said how long its body is.
  [[nodiscard]] std::optional<std::uint64_t> wire_length() const;

  // What may be sent now from `at` on, at most kMaxPieces parts.
  static constexpr std::size_t kMaxPieces = 5;
  std::size_t pieces(const BodyCursor& at, std::span<std::string_view, kMaxPieces> out) const;
  void advance(BodyCursor& at, std::uint64_t octets);  // so many of them were sent
  [[nodiscard]] bool sent_all(const BodyCursor& at) const;
  // All that has come is held: it may be sent from its first octet on.
  [[nodiscard]] bool replayable() const { return base_ == 0; }
  // And stays so whatever is sent: several may send it at once.
  [[nodiscard]] bool held_whole() const { return complete_ && !large_ && !once_; }
  // From now on nothing is sent again but from `at` on: what is before it need not be held.
  void release_sent(const BodyCursor& at);

 private:
  bool scan_all(std::string_view octets);
  void refuse(unsigned status, std::string_view code, std::string message);
  bool scan(std::string_view octets);
  bool finish_scan();
  void account();

  Exchange& exchange_;
  HeldOctets& all_;
  const BodyLimits limits_;
  std::string held_;
  std::uint64_t base_ = 0;  // of held_ in the body
  std::uint64_t size_ = 0;
  std::uint64_t accounted_ = 0;  // in all_
  bool complete_ = false;
  bool large_ = false;           // will not be held whole
  bool once_ = false;            // octets are let go once they are sent
  bool endpoint_names_ = false;  // what is made by this request is found by its id, so the endpoint gives it
  std::variant<std::monostate, JsonScanner, MultipartScanner> scanner_;
  ApiError error_;

  BodyEdits edits_;
  bool asks_usage_ = false;
  bool prepared_ = false;
  bool names_response_ = false;  // when it was prepared
};

}  // namespace perigee::router
