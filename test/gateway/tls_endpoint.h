// The server's side of TLS for a scripted endpoint, with a certificate made on the spot.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "test/gateway/loopback.h"

namespace perigee::gateway::test {

class TlsIdentity {
 public:
  TlsIdentity() : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    SSL_CTX_use_certificate(context_.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), key.get());
  }

  // Shakes hands, reads something and answers `response`.
  [[nodiscard]] ScriptedEndpoint::Script answering(std::string response) const {
    return [context = context_, response = std::move(response)](const Socket& client) {
      const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context.get()), SSL_free);
      SSL_set_fd(tls.get(), client.fd());
      char request[4096];
      if (SSL_accept(tls.get()) != 1 || SSL_read(tls.get(), request, sizeof request) <= 0) return;
      SSL_write(tls.get(), response.data(), static_cast<int>(response.size()));
      SSL_shutdown(tls.get());
    };
  }

 private:
  std::shared_ptr<SSL_CTX> context_;
};

}  // namespace perigee::gateway::test
