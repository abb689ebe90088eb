#include "router/response_ids.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "router/keys.h"

namespace perigee::router {
namespace {

bool plain(std::string_view id) {
  return !id.empty() && id.size() <= ResponseIds::kMaxOctets && std::ranges::all_of(id, [](char octet) {
    return octet > ' ' && octet <= '~' && octet != '"' && octet != '\\';
  });
}

}  // namespace

// Held for a few loads and stores: who finds it busy looks again.
struct ResponseIds::Set {
  struct Entry {
    Name name{};   // of the id
    Name owner{};  // of the key
    Place place;
    Instant until;  // never: unused
  };

  class Lock {
   public:
    explicit Lock(Set& set) : set_(set) {
      while (set_.busy.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    }
    ~Lock() { set_.busy.store(false, std::memory_order_release); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    Set& set_;
  };

  // An unused or expired one; else the oldest of the key that has the most, one of `newcomer` coming.
  Entry& least_needed(const Name& newcomer, Instant now) {
    const auto many = [&](const Entry& entry) {
      return std::ranges::count(entries, entry.owner, &Entry::owner) + (entry.owner == newcomer ? 1 : 0);
    };
    return *std::ranges::min_element(entries, [&](const Entry& a, const Entry& b) {
      if (a.until <= now || b.until <= now) return a.until < b.until;
      const auto of_a = many(a), of_b = many(b);
      return of_a != of_b ? of_a > of_b : a.until < b.until;
    });
  }

  alignas(64) std::atomic<bool> busy{false};
  std::array<Entry, kWays> entries;
};

ResponseIds::ResponseIds() : sets_(std::make_unique<std::array<Set, kSets>>()) {}
ResponseIds::~ResponseIds() = default;

ResponseIds::Name ResponseIds::name_of(std::string_view text) {
  const Digest digest = sha256(text);
  Name name;
  std::memcpy(name.data(), digest.data(), sizeof name);
  return name;
}

ResponseIds::Set& ResponseIds::set_of(const Name& name) const { return (*sets_)[name[0] % kSets]; }

void ResponseIds::learn(std::string_view key, std::string_view id, Place place, Instant now) {
  if (!plain(id)) return;
  const Name name = name_of(id), owner = name_of(key);
  Set& set = set_of(name);
  const Set::Lock lock(set);
  const auto same = std::ranges::find(set.entries, name, &Set::Entry::name);
  if (same != set.entries.end() && same->until > now && same->owner != owner) return;
  Set::Entry& entry = same != set.entries.end() ? *same : set.least_needed(owner, now);
  entry = {name, owner, place, now + kLife};
}

std::optional<ResponseIds::Place> ResponseIds::find(std::string_view key, std::string_view id, Instant now) {
  if (!plain(id)) return std::nullopt;
  const Name name = name_of(id), owner = name_of(key);
  Set& set = set_of(name);
  const Set::Lock lock(set);
  const auto found = std::ranges::find(set.entries, name, &Set::Entry::name);
  if (found == set.entries.end() || found->until <= now || found->owner != owner) return std::nullopt;
  return found->place;
}

}  // namespace perigee::router
