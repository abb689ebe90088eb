#include "router/credential.h"

#include <cstdlib>

#include "router/secret_file.h"

namespace perigee::router {

Result<std::string> authorization(const Policy::Credential& credential) {
  using Token = Result<std::string>;
  if (credential.none()) return Token(boost::system::in_place_value);
  std::string token;
  if (!credential.environment.empty()) {
    const char* value = std::getenv(credential.environment.c_str());
    if (value == nullptr) return Error{credential.environment, "no such variable in the environment"};
    token = value;
  } else {
    auto read = read_secret(credential.file);
    if (!read) return read.error();
    token = std::move(*read);
  }
  for (const char octet : token) {
    if (octet <= ' ' || octet > '~')
      return Error{credential.file + credential.environment, "holds octets that no token has"};
  }
  if (token.empty()) return Error{credential.file + credential.environment, "is empty"};
  return Token(boost::system::in_place_value, "Bearer " + token);
}

}  // namespace perigee::router
