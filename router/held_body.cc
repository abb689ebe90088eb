#include "router/held_body.h"

#include <algorithm>

#include "router/http_head.h"

namespace perigee::router {
namespace {

// Octets asked of the client at a time when a body will not be held whole: what is sent makes room for more.
constexpr std::uint64_t kWindow = 256U << 10U;
// The last octet waits for the scan: without it an endpoint has no whole body.
constexpr std::uint64_t kWithheld = 1;

bool identity_only(std::string_view encoding) {
  return encoding.empty() || same_ignoring_case(encoding, "identity");
}

}  // namespace

HeldBody::~HeldBody() { all_.now.fetch_sub(accounted_, std::memory_order_relaxed); }

void HeldBody::refuse(unsigned status, std::string_view code, std::string message) {
  error_ = {};
  error_.status = status;
  error_.code = code;
  error_.message = std::move(message);
}

std::optional<ApiError> HeldBody::expect(Operation operation) {
  const RequestBody form = operation_info(operation).body;
  endpoint_names_ = operation == Operation::responses_create;
  const Head& head = exchange_.head();
  const auto declared = exchange_.body_length();
  if (form == RequestBody::none) {
    if (declared != 0) refuse(400, "unexpected_body", "this operation takes no request body");
    complete_ = true;
    return declared != 0 ? std::optional(error_) : std::nullopt;
  }
  if (!identity_only(head.find(FieldName::content_encoding).value_or(""))) {
    refuse(415, "unsupported_content_encoding", "the request body must not be compressed");
    return error_;
  }
  const std::string_view type = head.find(FieldName::content_type).value_or("");
  if (form == RequestBody::multipart) {
    const auto boundary = multipart_boundary(type);
    if (!boundary) {
      refuse(415, "unsupported_content_type", "Content-Type must be multipart/form-data with a boundary");
      return error_;
    }
    scanner_.emplace<MultipartScanner>(*boundary);
  } else {
    scanner_.emplace<JsonScanner>();
  }
  if (declared && *declared > limits_.octets) {
    refuse(413, "request_too_large",
           "the request body has " + std::to_string(*declared) + " octets, at most " +
               std::to_string(limits_.octets) + " are taken");
    return error_;
  }
  if (declared && *declared > limits_.hold) large_ = true;
  if (declared && !large_) held_.reserve(*declared);
  return std::nullopt;
}

// Keeps all_ in step with the memory that was written to: room for what a client only announced costs
// nothing, and would let few clients shut out all others.
void HeldBody::account() {
  const std::uint64_t now =
      std::min<std::uint64_t>(held_.capacity(), std::max<std::uint64_t>(accounted_, held_.size()));
  all_.now.fetch_add(now - accounted_, std::memory_order_relaxed);  // wraps as it should when it shrank
  accounted_ = now;
}

bool HeldBody::scan(std::string_view octets) {
  if (auto* json = std::get_if<JsonScanner>(&scanner_)) {
    if (json->feed(octets) != JsonScanner::Status::refused) return true;
    refuse(400, json_fault_name(json->fault()),
           "the request body is not proper JSON: " + std::string(json_fault_name(json->fault())) +
               " at octet " + std::to_string(json->fault_offset()));
  } else if (auto* multipart = std::get_if<MultipartScanner>(&scanner_)) {
    if (multipart->feed(octets) != MultipartScanner::Status::refused) return true;
    refuse(400, multipart_fault_name(multipart->fault()),
           "the request body is not proper multipart/form-data: " +
               std::string(multipart_fault_name(multipart->fault())));
  }
  return false;
}

bool HeldBody::finish_scan() {
  if (auto* json = std::get_if<JsonScanner>(&scanner_)) {
    if (json->finish() == JsonScanner::Status::refused) {
      refuse(400, json_fault_name(json->fault()),
             "the request body is not proper JSON: " + std::string(json_fault_name(json->fault())) +
                 " at octet " + std::to_string(json->fault_offset()));
      return false;
    }
  } else if (auto* multipart = std::get_if<MultipartScanner>(&scanner_)) {
    if (multipart->finish() == MultipartScanner::Status::refused) {
      refuse(400, multipart_fault_name(multipart->fault()),
             "the request body is not proper multipart/form-data: " +
                 std::string(multipart_fault_name(multipart->fault())));
      return false;
    }
  }
  return true;
}

// As scan(). What a request is routed by cannot come after it was routed, and a client that could choose the
// id of its response (some engines take `request_id` for it) could choose another client's.
bool HeldBody::scan_all(std::string_view octets) {
  if (!scan(octets)) return false;
  const JsonFacts* facts = json();
  if (endpoint_names_ && facts != nullptr && facts->names_request) {
    refuse(400, "unsupported_parameter", "`request_id` cannot be chosen here");
    error_.param = "request_id";
    return false;
  }
  if (!prepared_ || names_response_ || facts == nullptr || !facts->previous_response_id) return true;
  refuse(400, "previous_response_id_too_late",
         "`previous_response_id` must come within the first " + std::to_string(limits_.hold) +
             " octets of the body");
  error_.param = "previous_response_id";
  return false;
}

HeldBody::Progress HeldBody::read() {
  while (!complete_) {
    const std::uint64_t room = large_ ? std::min(limits_.hold, kWindow) : limits_.hold + 1;
    // A large body whose model is still unknown may fill all that one request may hold.
    const std::uint64_t limit = large_ && model().empty() ? limits_.hold : room;
    if (held_.size() >= limit) break;
    const std::uint64_t had = held_.size();
    const auto source = exchange_.read_body(held_, limit - had);
    size_ += held_.size() - had;
    account();
    if (size_ > limits_.octets) {
      refuse(413, "request_too_large",
             "the request body has more than " + std::to_string(limits_.octets) + " octets");
      return Progress::refused;
    }
    if (all_.now.load(std::memory_order_relaxed) > limits_.all_held) {
      refuse(503, "overloaded", "too many request bodies are held at the moment");
      error_.retry_after = std::chrono::seconds(1);
      return Progress::refused;
    }
    if (!scan_all(std::string_view(held_).substr(had))) return Progress::refused;
    if (source == Exchange::Source::end) {
      if (!finish_scan()) return Progress::refused;
      complete_ = true;
      break;
    }
    if (source == Exchange::Source::refused) {
      refuse(refusal_status(exchange_.refusal()), refusal_name(exchange_.refusal()),
             "the request's framing is broken: " + std::string(refusal_name(exchange_.refusal())));
      return Progress::refused;
    }
    if (source == Exchange::Source::gone) return Progress::gone;
    if (!large_ && size_ > limits_.hold) large_ = true;
    if (source == Exchange::Source::again) break;
  }
  if (complete_ || (large_ && !model().empty())) return Progress::routable;
  if (large_ && held_.size() >= limits_.hold) {
    refuse(400, "model_too_late",
           "`model` must come within the first " + std::to_string(limits_.hold) + " octets of the body");
    error_.param = "model";
    return Progress::refused;
  }
  return Progress::again;
}

std::string_view HeldBody::model() const {
  if (const auto* json = std::get_if<JsonScanner>(&scanner_)) {
    return json->facts().model ? std::string_view(*json->facts().model) : std::string_view();
  }
  if (const auto* multipart = std::get_if<MultipartScanner>(&scanner_)) {
    return multipart->model() ? std::string_view(*multipart->model()) : std::string_view();
  }
  return {};
}

bool HeldBody::stream() const {
  if (const auto* json = std::get_if<JsonScanner>(&scanner_)) return json->facts().stream.value_or(false);
  if (const auto* multipart = std::get_if<MultipartScanner>(&scanner_)) return multipart->stream();
  return false;
}

const JsonFacts* HeldBody::json() const {
  const auto* scanner = std::get_if<JsonScanner>(&scanner_);
  return scanner == nullptr ? nullptr : &scanner->facts();
}

void HeldBody::prepare(std::string_view served_name, bool include_usage) {
  edits_ = {};
  prepared_ = true;
  if (const JsonFacts* facts = json()) {
    names_response_ = facts->previous_response_id.has_value();
    asks_usage_ = include_usage && complete_ && stream() && !facts->include_usage.value_or(false);
    edits_ = body_edits(*facts, served_name, asks_usage_);
  } else if (const auto* multipart = std::get_if<MultipartScanner>(&scanner_)) {
    if (model() != served_name) {
      edits_.edits[0] = {multipart->model_range().begin,
                         multipart->model_range().end - multipart->model_range().begin,
                         std::string(served_name)};
      edits_.count = 1;
    }
  }
}

std::optional<std::uint64_t> HeldBody::wire_length() const {
  const auto declared = complete_ ? std::optional(size_) : exchange_.body_length();
  if (!declared) return std::nullopt;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(*declared) + edits_.growth());
}

std::size_t HeldBody::pieces(const BodyCursor& cursor, std::span<std::string_view, kMaxPieces> out) const {
  const std::uint64_t limit = complete_ ? size_ : size_ - std::min(size_, kWithheld);
  auto [at, edit, inserted] = cursor;
  std::size_t count = 0;
  while (count < out.size()) {
    const bool more_edits = edit < edits_.count;
    const std::uint64_t stop = more_edits ? std::min(edits_.edits[edit].at, limit) : limit;
    if (at < stop) out[count++] = std::string_view(held_).substr(at - base_, stop - at);
    at = std::max(at, stop);
    if (!more_edits || at < edits_.edits[edit].at || count == out.size()) break;
    if (edits_.edits[edit].at + edits_.edits[edit].remove > limit)
      break;  // what it replaces is not all there
    const std::string_view insert = edits_.edits[edit].insert;
    if (inserted < insert.size()) out[count++] = insert.substr(inserted);
    at += edits_.edits[edit].remove;
    ++edit;
    inserted = 0;
  }
  return count;
}

void HeldBody::advance(BodyCursor& at, std::uint64_t octets) {
  while (octets > 0) {
    const bool more_edits = at.edit < edits_.count;
    const std::uint64_t stop = more_edits ? edits_.edits[at.edit].at : size_;
    const std::uint64_t plain = std::min(octets, stop - std::min(stop, at.next));
    at.next += plain;
    octets -= plain;
    if (octets == 0 || !more_edits) break;
    const BodyEdit& edit = edits_.edits[at.edit];
    const std::uint64_t part = std::min<std::uint64_t>(octets, edit.insert.size() - at.inserted);
    at.inserted += part;
    octets -= part;
    if (at.inserted < edit.insert.size()) break;
    at.next += edit.remove;
    ++at.edit;
    at.inserted = 0;
  }
  if ((large_ || once_) && at.next - base_ >= std::min(limits_.hold, kWindow) / 2) {
    held_.erase(0, at.next - base_);
    base_ = at.next;
    account();
  }
}

bool HeldBody::sent_all(const BodyCursor& at) const {
  return complete_ && at.next == size_ && at.edit == edits_.count;
}

void HeldBody::release_sent(const BodyCursor& at) {
  once_ = true;
  if (!sent_all(at)) return;
  base_ = at.next;
  held_ = {};
  account();
}

}  // namespace perigee::router
