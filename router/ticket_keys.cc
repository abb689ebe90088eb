#include "router/ticket_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

namespace perigee::router {
namespace {

bool randomize(TicketKeys::Key& key) {
  return RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) == 1 &&
         RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) == 1 &&
         RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size())) == 1;
}

}  // namespace

Result<std::shared_ptr<TicketKeys>> TicketKeys::create(Instant now) {
  std::shared_ptr<TicketKeys> keys(new TicketKeys);
  if (!keys->rotate(now)) return Error{"TLS session tickets", "the system gives no random octets"};
  return keys;
}

TicketKeys::~TicketKeys() { OPENSSL_cleanse(keys_.data(), sizeof keys_); }

bool TicketKeys::rotate(Instant now) {
  Aged next{.key = {}, .made = now};
  const bool made = randomize(next.key);
  if (made) {
    std::rotate(keys_.begin(), keys_.end() - 1, keys_.end());
    keys_.front() = next;
  }
  OPENSSL_cleanse(&next, sizeof next);
  return made;
}

TicketKeys::Key TicketKeys::newest(Instant now) {
  const std::scoped_lock lock(mutex_);
  // Without random octets the last key serves on; the next handshake tries again.
  if (now - keys_.front().made >= kRotation) rotate(now);
  return keys_.front().key;
}

std::optional<TicketKeys::Found> TicketKeys::find(std::span<const unsigned char, kNameOctets> name,
                                                  Instant now) {
  const std::scoped_lock lock(mutex_);
  for (const Aged& aged : keys_) {
    if (aged.made.never() || now - aged.made >= kGenerations * kRotation) continue;
    if (std::ranges::equal(aged.key.name, name)) return Found{aged.key, &aged == &keys_.front()};
  }
  return std::nullopt;
}

}  // namespace perigee::router
