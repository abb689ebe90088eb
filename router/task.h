// Task: a lazy coroutine of one thread. It starts when it is awaited or spawned, runs until it waits for a
// Signal, and its frame goes when its awaiter has the result. Exceptions do not cross it: one that escapes
// ends the process, as everything expected is a value here.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "router/frame_store.h"

namespace perigee::router {

template <class T = void>
class Task;

namespace task_detail {

struct FinalAwaiter {
  static bool await_ready() noexcept { return false; }
  template <class Promise>
  static std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) noexcept {
    return done.promise().awaiter;
  }
  static void await_resume() noexcept {}
};

struct FromFrameStore {
  static void* operator new(std::size_t size) { return take_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { give_frame(frame, size); }
};

struct PromiseBase : FromFrameStore {
  std::coroutine_handle<> awaiter = std::noop_coroutine();

  static std::suspend_always initial_suspend() noexcept { return {}; }
  static FinalAwaiter final_suspend() noexcept { return {}; }
  [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;

  Task<T> get_return_object() noexcept;
  void return_value(T result) { value.emplace(std::move(result)); }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object() noexcept;
  static void return_void() noexcept {}
  static void take() noexcept {}
};

}  // namespace task_detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = task_detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle frame) : frame_(frame) {}
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task(const Task&) = delete;
  Task& operator=(Task&&) = delete;
  Task& operator=(const Task&) = delete;
  // A task that still waits ends there: its frame goes, with all it holds.
  ~Task() {
    if (frame_) frame_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      Handle frame;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
        frame.promise().awaiter = awaiter;
        return frame;
      }
      T await_resume() { return frame.promise().take(); }
    };
    return Awaiter{frame_};
  }

  // Runs it now, up to its first wait, without an awaiter: its owner keeps the Task as long as it shall run.
  void start() { frame_.resume(); }
  [[nodiscard]] bool done() const { return frame_.done(); }

 private:
  Handle frame_;
};

namespace task_detail {

template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

// A coroutine nobody waits for; its frame frees itself at the end.
struct Detached {
  struct promise_type : FromFrameStore {
    static Detached get_return_object() noexcept { return {}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    static void return_void() noexcept {}
  };
};

}  // namespace task_detail

// Runs `task` now, up to its first wait; what it needs must outlive it.
inline task_detail::Detached spawn(Task<void> task) { co_await std::move(task); }

}  // namespace perigee::router
