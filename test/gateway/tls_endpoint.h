// The server's side of TLS for a scripted endpoint.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "test/gateway/loopback.h"
#include "test/router/certificates.h"

namespace perigee::gateway::test {

class TlsIdentity {
 public:
  // `client_ca`: of certificates that every client must show; empty: none needs one.
  explicit TlsIdentity(const router::CertificateFiles& files, const std::string& client_ca = "")
      : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
    present(files);
    if (client_ca.empty()) return;
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_load_verify_file(context_.get(), client_ca.c_str());
  }

  // Another certificate from now on.
  void present(const router::CertificateFiles& files) {
    SSL_CTX_use_certificate_chain_file(context_.get(), files.chain.c_str());
    SSL_CTX_use_PrivateKey_file(context_.get(), files.key.c_str(), SSL_FILETYPE_PEM);
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
