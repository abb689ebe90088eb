// What contexts for servers and clients have in common. Only the tls_*.cc files include this.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>

#include "contract/error.h"

namespace perigee::router {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeContext>;

// TLS 1.2 and 1.3 for non-blocking sockets, buffers released while idle; null when memory is out.
TlsContext make_tls_context(const SSL_METHOD* method);

// Reads the PEM files into `context`; the error names the file.
std::optional<Error> use_certificate(SSL_CTX* context, const std::string& chain, const std::string& key);
// Certificates in `file` are trusted as issuers.
std::optional<Error> trust_issuers(SSL_CTX* context, const std::string& file);

// A T that belongs to a context: found again from callbacks, freed with it (which every connection keeps
// alive).
template <class T>
struct ContextState {
  static void attach(SSL_CTX* context, std::unique_ptr<T> state) {
    SSL_CTX_set_ex_data(context, index(), state.release());
  }
  static T& of(const SSL_CTX* context) { return *static_cast<T*>(SSL_CTX_get_ex_data(context, index())); }

 private:
  static int index() {
    static const int index = SSL_CTX_get_ex_new_index(
        0, nullptr, nullptr, nullptr,
        [](void*, void* state, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<T*>(state); });
    return index;
  }
};

}  // namespace perigee::router
