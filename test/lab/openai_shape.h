// The OpenAI API's shapes as far as the endpoint simulator speaks them: a request read, answers written.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>

#include "contract/error.h"

namespace perigee::lab {

struct CompletionRequest {
  bool chat = false;  // /v1/chat/completions, not /v1/completions
  bool stream = false;
  bool include_usage = false;
  std::uint64_t prompt_tokens = 0;  // four characters a token
  std::uint64_t max_tokens = 16;
};

// `model`: the only one served. The error's `where` is the OpenAI error type, `what` its message.
Result<CompletionRequest> read_completion(const std::string& body, bool chat, const std::string& model);

// The text of token `number`, from 1: "1 ", "2 ", ..., so that a client can tell a gap.
std::string token_text(std::uint64_t number);

struct Completion {
  std::string id;
  std::string model;
  std::int64_t created = 0;  // seconds since 1970
  CompletionRequest request;

  [[nodiscard]] std::string whole(std::uint64_t tokens) const;    // the plain answer
  [[nodiscard]] std::string opening() const;                      // SSE: the role, chat only, else empty
  [[nodiscard]] std::string token(std::uint64_t number) const;    // SSE
  [[nodiscard]] std::string closing(std::uint64_t tokens) const;  // SSE: finish reason, usage, [DONE]

 private:
  [[nodiscard]] std::string event(boost::json::value choices, boost::json::value usage) const;
  [[nodiscard]] boost::json::value usage(std::uint64_t tokens) const;
};

std::string error_body(const Error& error, unsigned status);
std::string models_body(const std::string& model, std::int64_t created);

}  // namespace perigee::lab
