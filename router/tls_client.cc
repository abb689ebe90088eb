#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <mutex>
#include <utility>

#include "contract/address.h"
#include "router/tls.h"
#include "router/tls_context.h"
#include "router/tls_error.h"

namespace perigee::router {
namespace {

struct ClientState {
  std::string name;
  std::mutex mutex;  // once for each connection opened
  SSL_SESSION* session = nullptr;

  explicit ClientState(std::string expected_name) : name(std::move(expected_name)) {}
  ClientState(const ClientState&) = delete;
  ClientState& operator=(const ClientState&) = delete;
  ~ClientState() { SSL_SESSION_free(session); }
};
using State = ContextState<ClientState>;

// Called when the endpoint sent a ticket; returning 1 keeps the reference.
int keep_session(SSL* ssl, SSL_SESSION* session) {
  ClientState& state = State::of(SSL_get_SSL_CTX(ssl));
  const std::scoped_lock lock(state.mutex);
  SSL_SESSION_free(std::exchange(state.session, session));
  return 1;
}

std::optional<Error> set_up(SSL_CTX* context, const Policy::EndpointTls& settings) {
  if (settings.verify) {
    if (settings.name.empty()) return Error{"TLS", "verifying an endpoint needs the name expected of it"};
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (settings.ca.empty()) {
      if (SSL_CTX_set_default_verify_paths(context) != 1) return Error{"TLS issuers", take_tls_error()};
    } else if (auto error = trust_issuers(context, settings.ca)) {
      return error;
    }
  }
  if (!settings.certificate.empty()) {
    if (auto error = use_certificate(context, settings.certificate, settings.key)) return error;
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  return std::nullopt;
}

// The name the certificate must have, and what is asked for in the handshake (RFC 6066 section 3: no
// addresses).
bool expect_name(SSL* ssl, const std::string& name) {
  if (name.empty()) return true;
  if (IpAddress::parse(name)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
  return SSL_set1_host(ssl, name.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

}  // namespace

Result<std::shared_ptr<const TlsClient>> TlsClient::load(const Policy::EndpointTls& settings) {
  TlsContext made = make_tls_context(TLS_client_method());
  if (!made) return Error{"TLS", take_tls_error()};
  State::attach(made.get(), std::make_unique<ClientState>(settings.name));
  if (auto error = set_up(made.get(), settings)) return *error;
  ERR_clear_error();  // OpenSSL leaves remarks there though all went well
  return std::shared_ptr<const TlsClient>(new TlsClient(made.release()));
}

TlsClient::~TlsClient() { SSL_CTX_free(context_); }

ssl_st* TlsClient::new_connection() const {
  SSL* const ssl = SSL_new(context_);
  if (ssl == nullptr) return nullptr;
  SSL_set_connect_state(ssl);
  ClientState& state = State::of(context_);
  const std::scoped_lock lock(state.mutex);
  if (!expect_name(ssl, state.name)) {
    SSL_free(ssl);
    return nullptr;
  }
  if (state.session == nullptr) return ssl;
  // A copy, as OpenSSL spends what it resumes: several connections may begin before the endpoint sends a new
  // ticket.
  SSL_SESSION* const copy = SSL_SESSION_dup(state.session);
  if (copy != nullptr) SSL_set_session(ssl, copy);
  SSL_SESSION_free(copy);
  return ssl;
}

}  // namespace perigee::router
