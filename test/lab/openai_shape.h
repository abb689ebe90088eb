// The OpenAI API's shapes as far as the endpoint simulator speaks them: a request read, answers written.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>

#include "contract/error.h"

namespace perigee::lab {

enum class Api : std::uint8_t { completions, chat, responses };

struct CompletionRequest {
  Api api = Api::chat;
  bool stream = false;
  bool include_usage = false;
  std::uint64_t prompt_tokens = 0;  // four characters a token
  std::uint64_t max_tokens = 16;
  std::string previous_response;  // that it goes on from; empty: none
};

// `model`: the only one served. The error's `where` is the OpenAI error type, `what` its message.
Result<CompletionRequest> read_completion(const std::string& body, Api api, const std::string& model);

// The answer to /v1/embeddings: for each text a vector that only the text decides, as numbers or, when
// `encoding_format` is base64, as packed little-endian floats. Errors as of read_completion().
Result<std::string> embeddings_body(const std::string& body, const std::string& model);

// The text of token `number`, from 1: "1 ", "2 ", ..., so that a client can tell a gap.
std::string token_text(std::uint64_t number);

struct Completion {
  std::string id;
  std::string model;
  std::int64_t created = 0;  // seconds since 1970
  CompletionRequest request;

  [[nodiscard]] std::string whole(std::uint64_t tokens) const;    // the plain answer
  [[nodiscard]] std::string opening() const;                      // SSE: what comes before the first token
  [[nodiscard]] std::string token(std::uint64_t number) const;    // SSE
  [[nodiscard]] std::string closing(std::uint64_t tokens) const;  // SSE: finish reason, usage, the end

 private:
  [[nodiscard]] std::string event(boost::json::value choices, boost::json::value usage) const;
  [[nodiscard]] boost::json::value usage(std::uint64_t tokens) const;
};

// The same of the Responses API (responses_shape.cc): typed events with a running number.
std::string response_whole(const Completion& completion, std::uint64_t tokens);
std::string response_opening(const Completion& completion);
std::string response_token(const Completion& completion, std::uint64_t number);
std::string response_closing(const Completion& completion, std::uint64_t tokens);

std::string error_body(const Error& error, unsigned status);
std::string models_body(const std::string& model, std::int64_t created);

}  // namespace perigee::lab
