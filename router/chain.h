// ChainLink: a place in a circular list whose members leave it by themselves, whichever list that is. What
// waits in the loop (signals, timers, flushes) can be destroyed at any moment; this is how.
#pragma once

namespace perigee::router {

struct ChainLink {
  ChainLink() = default;
  ChainLink(const ChainLink&) = delete;
  ChainLink& operator=(const ChainLink&) = delete;
  ~ChainLink() { unlink(); }

  // For a head: the chain has no members. For a member: it is in no chain.
  [[nodiscard]] bool alone() const { return next == this; }

  void unlink() {
    previous->next = next;
    next->previous = previous;
    previous = next = this;
  }
  // Makes `member`, which is in no chain, the last one of the chain this is the head of.
  void push_back(ChainLink& member) {
    member.previous = previous;
    member.next = this;
    previous->next = &member;
    previous = &member;
  }
  // Moves all members to the end of `other`.
  void move_all_to(ChainLink& other) {
    if (alone()) return;
    next->previous = other.previous;
    other.previous->next = next;
    previous->next = &other;
    other.previous = previous;
    previous = next = this;
  }

  ChainLink* previous = this;
  ChainLink* next = this;
};

}  // namespace perigee::router
