#include "router/tls_context.h"

#include "router/tls_error.h"

namespace perigee::router {
namespace {

// An encrypted key has nobody to ask.
int no_passphrase(char*, int, int, void*) { return -1; }

Error file_error(const std::string& file, const char* doing) {
  return Error{file, std::string(doing) + ": " + take_tls_error()};
}

}  // namespace

TlsContext make_tls_context(const SSL_METHOD* method) {
  TlsContext context(SSL_CTX_new(method));
  if (!context) return context;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_clear_options(context.get(), SSL_OP_LEGACY_SERVER_CONNECT);
  // TLS 1.2 with forward secrecy and authenticated encryption only; all of TLS 1.3 is that.
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  // Released buffers: an idle connection holds a few kilobytes instead of two records. A write that was cut
  // short may go on from another address.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Else each record costs two reads, one for its header.
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  return context;
}

std::optional<Error> use_certificate(SSL_CTX* context, const std::string& chain, const std::string& key) {
  if (SSL_CTX_use_certificate_chain_file(context, chain.c_str()) != 1) {
    return file_error(chain, "cannot use this certificate chain");
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return file_error(key, "cannot use this key");
  }
  return std::nullopt;
}

std::optional<Error> trust_issuers(SSL_CTX* context, const std::string& file) {
  if (SSL_CTX_load_verify_file(context, file.c_str()) != 1)
    return file_error(file, "cannot use these issuers");
  return std::nullopt;
}

}  // namespace perigee::router
