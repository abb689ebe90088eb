#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "router/tls.h"
#include "router/tls_context.h"
#include "router/tls_error.h"

namespace perigee::router {
namespace {

struct ServerState {
  std::shared_ptr<TicketKeys> tickets;
  std::vector<TlsContext> others;  // of the first context: those with the further certificates
};
using State = ContextState<ServerState>;

constexpr long kTicketSeconds = 2L * 60 * 60;  // as long as TicketKeys surely opens them

bool is_for(SSL_CTX* context, std::string_view name) {
  return X509_check_host(SSL_CTX_get0_certificate(context), name.data(), name.size(), 0, nullptr) == 1;
}

// RFC 6066 section 3. An unknown name gets the first certificate, which the client then judges.
int choose_certificate(SSL* ssl, int*, void*) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  SSL_CTX* const first = SSL_get_SSL_CTX(ssl);
  if (name == nullptr || is_for(first, name)) return SSL_TLSEXT_ERR_OK;
  for (const TlsContext& other : State::of(first).others) {
    if (!is_for(other.get(), name)) continue;
    SSL_set_SSL_CTX(ssl, other.get());
    break;
  }
  return SSL_TLSEXT_ERR_OK;
}

// RFC 7301 section 3.2: a client that names protocols, but not HTTP/1.1, cannot be served.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kHttp1[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, chosen_size, kHttp1, sizeof kHttp1 - 1, offered, offered_size);
  *chosen = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool key_mac(EVP_MAC_CTX* mac, TicketKeys::Key& key) {
  char digest[] = "SHA256";
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

// What OpenSSL asks for to seal or open one ticket (RFC 5077 section 4): 1 go on, 2 go on and send a new
// ticket, 0 a full handshake instead, -1 failed.
int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
               int sealing) {
  TicketKeys& tickets = *State::of(SSL_get_SSL_CTX(ssl)).tickets;
  const EVP_CIPHER* const aes = EVP_aes_256_cbc();
  TicketKeys::Found found{.key = {}, .newest = true};
  bool good = false;
  if (sealing != 0) {
    found.key = tickets.newest(monotonic_now());
    std::memcpy(name, found.key.name.data(), found.key.name.size());
    good = RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
           EVP_EncryptInit_ex2(cipher, aes, found.key.cipher.data(), iv, nullptr) == 1;
  } else {
    const std::span<const unsigned char, TicketKeys::kNameOctets> named(name, TicketKeys::kNameOctets);
    const auto known = tickets.find(named, monotonic_now());
    if (!known) return 0;
    found = *known;
    good = EVP_DecryptInit_ex2(cipher, aes, found.key.cipher.data(), iv, nullptr) == 1;
  }
  good = good && key_mac(mac, found.key);
  OPENSSL_cleanse(&found.key, sizeof found.key);
  if (!good) return -1;
  // TLS 1.3 clients use a ticket once (RFC 8446 appendix C.4), so each one opened is replaced.
  return found.newest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

// A ticket is good for a listener with the same issuers and the same demand only
// (SSL_CTX_set_session_id_context): one got where no certificate is asked for must not stand for one.
std::optional<Error> demand_client_certificate(SSL_CTX* context, const TlsServerSettings& settings) {
  std::string scope(1, static_cast<char>(settings.client_certificate));
  if (settings.client_certificate != ClientCertificate::none) {
    if (auto error = trust_issuers(context, settings.client_ca)) return error;
    STACK_OF(X509_NAME)* const names = SSL_load_client_CA_file(settings.client_ca.c_str());
    if (names == nullptr) return Error{settings.client_ca, "no issuer in it: " + take_tls_error()};
    std::ifstream file(settings.client_ca, std::ios::binary);
    scope.append(std::istreambuf_iterator<char>(file), {});
    SSL_CTX_set_client_CA_list(context, names);
    const bool required = settings.client_certificate == ClientCertificate::required;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  }
  std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> id{};
  unsigned size = 0;
  EVP_Digest(scope.data(), scope.size(), id.data(), &size, EVP_sha256(), nullptr);
  SSL_CTX_set_session_id_context(context, id.data(), size);
  return std::nullopt;
}

Result<TlsContext> make_server_context(const TlsServerSettings& settings,
                                       const TlsCertificateFiles& certificate,
                                       std::shared_ptr<TicketKeys> tickets) {
  TlsContext made = make_tls_context(TLS_server_method());
  if (!made) return Error{"TLS", take_tls_error()};
  SSL_CTX* const context = made.get();
  State::attach(context, std::make_unique<ServerState>(ServerState{std::move(tickets), {}}));
  if (auto error = use_certificate(context, certificate.chain, certificate.key)) return *error;
  if (auto error = demand_client_certificate(context, settings)) return *error;
  SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  // Sessions live in tickets only, so that no thread and no process has to remember them.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_key);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  SSL_CTX_set_num_tickets(context, 1);
  return made;
}

}  // namespace

Result<std::shared_ptr<const TlsServer>> TlsServer::load(const TlsServerSettings& settings,
                                                         const std::shared_ptr<TicketKeys>& tickets) {
  if (settings.certificates.empty()) return Error{"TLS", "a listener needs a certificate"};
  TlsContext first;
  for (const TlsCertificateFiles& certificate : settings.certificates) {
    auto made = make_server_context(settings, certificate, tickets);
    if (!made) return made.error();
    if (!first) {
      first = std::move(*made);
    } else {
      State::of(first.get()).others.push_back(std::move(*made));
    }
  }
  ERR_clear_error();  // OpenSSL leaves remarks there though all went well
  return std::shared_ptr<const TlsServer>(new TlsServer(first.release()));
}

TlsServer::~TlsServer() { SSL_CTX_free(context_); }

ssl_st* TlsServer::new_connection() const {
  SSL* const ssl = SSL_new(context_);
  if (ssl != nullptr) SSL_set_accept_state(ssl);
  return ssl;
}

}  // namespace perigee::router
