// TLS settings made ready for use: TlsServer for a listener, TlsClient for an endpoint. Both are loaded once
// and never change; new certificates are a new object, and connections keep the one they began with.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "contract/error.h"
#include "router/ticket_keys.h"
#include "steering/policy.h"

struct ssl_st;
struct ssl_ctx_st;

namespace perigee::router {

struct TlsCertificateFiles {
  std::string chain;  // PEM, the listener's own certificate first
  std::string key;    // PEM

  friend bool operator==(const TlsCertificateFiles&, const TlsCertificateFiles&) = default;
};

enum class ClientCertificate : std::uint8_t { none, optional, required };

struct TlsServerSettings {
  std::vector<TlsCertificateFiles> certificates;  // the first one that fits the client's SNI, else the first
  std::string client_ca;                          // PEM file; for optional and required
  ClientCertificate client_certificate = ClientCertificate::none;
};

// TLS 1.2 and 1.3, ALPN http/1.1, resumption by ticket; no early data, renegotiation or compression.
class TlsServer {
 public:
  // Reads the files. An error names the file.
  static Result<std::shared_ptr<const TlsServer>> load(const TlsServerSettings& settings,
                                                       const std::shared_ptr<TicketKeys>& tickets);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  // For Stream::start_tls: one connection's state, owned by the caller; null when memory is out.
  [[nodiscard]] ssl_st* new_connection() const;

 private:
  explicit TlsServer(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* const context_;
};

// For one endpoint: its certificate is verified as the policy says, and its last session is kept so that the
// next connection resumes it. A DNS name is sent as SNI, an address is not.
class TlsClient {
 public:
  static Result<std::shared_ptr<const TlsClient>> load(const Policy::EndpointTls& settings);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // For Stream::connect: as TlsServer::new_connection().
  [[nodiscard]] ssl_st* new_connection() const;

 private:
  explicit TlsClient(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* const context_;
};

}  // namespace perigee::router
