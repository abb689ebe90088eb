#include "router/client_connection.h"

#include <utility>

#include "router/session.h"

namespace perigee::router {
namespace {

// An answer that ends the connection before the request was read: the client gets so much time and so many
// octets to see it, as closing at once would make its system throw the answer away (RFC 9112 section 9.6).
constexpr Nanos kLingerTime = std::chrono::seconds(2);
constexpr std::size_t kLingerOctets = 1U << 20U;
// For the first request of who connected just before we close: it is on its way, and cannot know.
constexpr Nanos kLastRequestTime = std::chrono::seconds(1);

ApiError no_proper_request(Refusal refusal) {
  ApiError error;
  error.status = refusal_status(refusal);
  error.code = refusal_name(refusal);
  error.message = "this is no HTTP request that is taken here: " + std::string(error.code);
  return error;
}

ApiError listener_removed() {
  ApiError error;
  error.status = 503;
  error.code = "listener_removed";
  error.message = "this gateway does not serve this address any more";
  error.retry_after = std::chrono::seconds(1);
  return error;
}

Task<void> run_and_delete(std::unique_ptr<ClientConnection> connection, Task<void> serving) {
  co_await std::move(serving);
  connection.reset();
}

}  // namespace

void ClientConnection::start(ThreadContext& thread, Accepted accepted,
                             std::shared_ptr<const ListenerPlace> place, ChainLink& all) {
  std::unique_ptr<ClientConnection> connection(
      new ClientConnection(thread, std::move(accepted), std::move(place)));
  all.push_back(*connection);
  Task<void> serving = connection->serve();
  spawn(run_and_delete(std::move(connection), std::move(serving)));
}

void ClientConnection::wake_all(ChainLink& all) {
  for (ChainLink* link = all.next; link != &all; link = link->next) {
    auto& connection = *static_cast<ClientConnection*>(link);
    if (connection.closing()) connection.exchange_.close_after_answer();
    connection.signal_.raise();
  }
}

std::size_t ClientConnection::count(const ChainLink& all) {
  std::size_t count = 0;
  for (const ChainLink* link = all.next; link != &all; link = link->next) ++count;
  return count;
}

ClientConnection::ClientConnection(ThreadContext& thread, Accepted accepted,
                                   std::shared_ptr<const ListenerPlace> place)
    : thread_(thread),
      signal_(thread.loop.ready()),
      permit_(std::move(accepted.permit)),
      stream_(std::move(accepted.stream)),
      place_(std::move(place)),
      timer_(thread.loop.timers(), signal_),
      limits_(place_->index ? thread.snapshot->listeners[*place_->index].policy.limits
                            : Policy::Listener::Limits{}),
      exchange_(*stream_, thread.client_scratch, {accepted.client, accepted.client_port},
                {limits_.header_octets, limits_.header_fields}) {
  stream_->bind(&signal_);
}

Task<void> ClientConnection::serve() {
  while (co_await next_request()) {
    if (!place_->index) {  // the policy has the listener no more, and so no service for it
      refuse(listener_removed(), Ending::no_endpoint);
      break;
    }
    if (thread_.draining) exchange_.close_after_answer();
    {
      Session session(thread_, exchange_, signal_, *place_->index);
      co_await session.run();
    }
    served_ = true;
    if (!exchange_.reusable()) break;
  }
  co_await close();
}

// Waits for a request; false: there will be none.
Task<bool> ClientConnection::next_request() {
  bool begun = exchange_.head_begun();
  bool last = false;
  timer_.arm(thread_.loop.now() + (begun || !served_ ? limits_.header_time : limits_.keep_alive));
  while (true) {
    switch (exchange_.next()) {
      case Http1Exchange::Next::request:
        timer_.disarm();
        co_return true;
      case Http1Exchange::Next::refused:
        timer_.disarm();
        refuse(no_proper_request(exchange_.refusal()), Ending::refused);
        co_return false;
      case Http1Exchange::Next::gone:
        co_return false;
      case Http1Exchange::Next::again:
        break;
    }
    if (timer_.expired()) co_return false;
    if (thread_.drain_over || (closing() && served_ && !exchange_.head_begun())) co_return false;
    if (!begun && exchange_.head_begun()) {
      begun = true;
      timer_.arm(thread_.loop.now() + limits_.header_time);
    } else if (!begun && closing() && !std::exchange(last, true)) {
      timer_.arm(thread_.loop.now() + kLastRequestTime);
    }
    co_await signal_.wait();
  }
}

// The request is answered without looking any further into it.
void ClientConnection::refuse(const ApiError& error, Ending ending) {
  const std::string body = error_body(error);
  const std::string fields = error_fields(error);
  RequestRecord record;
  record.begun = record.ended = thread_.loop.now();
  record.request_id = thread_.names.request_id("");
  record.client = exchange_.client().address;
  record.status = error.status;
  record.error = error.code;
  record.ending = ending;
  AnswerHead head;
  head.status = error.status;
  head.length = body.size();
  head.request_id = record.request_id;
  head.more_fields = fields;
  head.content_type = "application/json";
  exchange_.close_after_answer();
  exchange_.start(head);
  const std::string_view part = body;
  exchange_.end({&part, 1});
  exchange_.flush();
  thread_.records.take(record);
}

Task<void> ClientConnection::close() {
  if (exchange_.gone()) {
    if (exchange_.must_reset()) {
      stream_->abort();
    } else {
      stream_->close();
    }
    co_return;
  }
  timer_.arm(thread_.loop.now() + kLingerTime);
  bool shut = false;
  std::size_t left = kLingerOctets;
  while (!timer_.expired() && !exchange_.gone() && !thread_.drain_over) {
    exchange_.flush();
    if (!shut && exchange_.unsent() == 0) {
      stream_->shutdown_send();
      shut = true;
    }
    if (!exchange_.drain(left)) break;
    co_await signal_.wait();
  }
  stream_->close();
}

}  // namespace perigee::router
