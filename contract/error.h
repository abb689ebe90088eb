// Error and Result: what can fail says so in its type; exceptions end at library edges and main.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace perigee {

// One thing that went wrong, for a person: `where` names the place ("policy.yaml:14:7", a path, a flag)
// and may be empty; `what` says what is wrong and, where it can, what would be right.
struct Error {
  std::string where;
  std::string what;

  [[nodiscard]] std::string text() const { return where.empty() ? what : where + ": " + what; }
  friend bool operator==(const Error&, const Error&) = default;
};

// Lets Result<T>::value() throw something readable when a caller did not check.
[[noreturn]] inline void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.text());
}

template <class T>
using Result = boost::system::result<T, Error>;

}  // namespace perigee
