#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "router/stream.h"
#include "router/tls.h"
#include "test/router/certificates.h"
#include "test/router/loop_fixture.h"
#include "test/router/raw_client.h"

namespace perigee::router {
namespace {

// Both ends of one connection, in one loop.
struct TlsTest : LoopTest {
  TlsServerSettings server_settings() { return {{{api.chain, api.key}}, {}, ClientCertificate::none}; }
  Policy::EndpointTls client_settings() { return client_for(issuer.file(), "api.example"); }
  static Policy::EndpointTls client_for(std::string ca, std::string name) {
    Policy::EndpointTls settings;
    settings.ca = std::move(ca);
    settings.name = std::move(name);
    return settings;
  }
  std::shared_ptr<const TlsServer> load(const TlsServerSettings& settings) {
    auto loaded = TlsServer::load(settings, tickets);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().text();
    return *loaded;
  }
  std::shared_ptr<const TlsClient> load(const Policy::EndpointTls& settings) {
    auto loaded = TlsClient::load(settings);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().text();
    return *loaded;
  }

  // Connects; the two results say how each side's handshake went.
  Task<> connect(const TlsServer& as_server, const TlsClient& as_client) {
    client = Stream::connect(*loop, kLoopback, listening.port(), &as_client, client_signal).value();
    server = Stream::adopt(*loop, listening.accept(SOCK_NONBLOCK), server_signal).value();
    EXPECT_TRUE(server->start_tls(as_server));
    client_status = server_status = IoStatus::again;
    while (client_status == IoStatus::again || server_status == IoStatus::again) {
      if (client_status == IoStatus::again) client_status = client->establish();
      if (server_status == IoStatus::again) server_status = server->establish();
      co_await turns(1);
    }
  }
  Task<> exchange(std::string text) {
    EXPECT_EQ(write_text(*client, text).octets, text.size());
    EXPECT_EQ(co_await read_text(*server, server_signal, text.size()), text);
    EXPECT_EQ(write_text(*server, text).octets, text.size());
    EXPECT_EQ(co_await read_text(*client, client_signal, text.size()), text);
  }

  TestIssuer issuer{"test issuer"};
  CertificateFiles api = issuer.issue("DNS:api.example");
  std::shared_ptr<TicketKeys> tickets = TicketKeys::create(monotonic_now()).value();
  ListeningSocket listening;
  Signal client_signal{loop->ready()};
  Signal server_signal{loop->ready()};
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
  IoStatus client_status{};
  IoStatus server_status{};
};

TEST_F(TlsTest, CarriesOctetsBothWays) {
  const auto as_server = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, const TlsClient& c) -> Task<> {
    co_await t.connect(s, c);
    EXPECT_EQ(t.client_status, IoStatus::ok) << t.client->failure();
    EXPECT_EQ(t.server_status, IoStatus::ok) << t.server->failure();
    EXPECT_TRUE(t.client->encrypted());
    co_await t.exchange("hello");
    std::array<char, 8> into{};
    EXPECT_EQ(t.client->read(into).status, IoStatus::again);
    EXPECT_FALSE(t.client->readable());
  }(*this, *as_server, *as_client));
}

TEST_F(TlsTest, OneReadTakesAllRecordsThatAreThere) {
  const auto as_server = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, const TlsClient& c) -> Task<> {
    co_await t.connect(s, c);
    for (const char* event : {"one", "two", "six"}) EXPECT_EQ(write_text(*t.server, event).octets, 3U);
    co_await t.turns();
    std::array<char, 100> into{};
    EXPECT_EQ(t.client->read(into).octets, 9U);
    EXPECT_FALSE(t.client->readable());
  }(*this, *as_server, *as_client));
}

TEST_F(TlsTest, AReadSmallerThanARecordLeavesTheStreamReadable) {
  const auto as_server = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, const TlsClient& c) -> Task<> {
    co_await t.connect(s, c);
    EXPECT_EQ(write_text(*t.server, "0123456789").octets, 10U);
    co_await t.turns();
    std::array<char, 4> into{};
    EXPECT_EQ(t.client->read(into).octets, 4U);
    EXPECT_TRUE(t.client->readable());  // though the socket is empty
    EXPECT_EQ(t.client->read(into).octets, 4U);
    EXPECT_EQ(t.client->read(into).octets, 2U);
    EXPECT_FALSE(t.client->readable());
  }(*this, *as_server, *as_client));
}

// Writes `parts` to the end, then ends the stream's direction.
Task<> send_parts(Stream& stream, Signal& signal, std::vector<iovec> parts, bool& done) {
  std::size_t first = 0;
  while (first < parts.size()) {
    const IoResult result = stream.write(std::span(parts).subspan(first));
    EXPECT_NE(result.status, IoStatus::failed) << stream.failure();
    if (result.status == IoStatus::failed) break;
    std::size_t sent = result.octets;
    while (first < parts.size() && sent >= parts[first].iov_len) sent -= parts[first++].iov_len;
    if (sent > 0) {
      parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + sent;
      parts[first].iov_len -= sent;
    }
    if (result.status == IoStatus::again) co_await signal.wait();
  }
  stream.shutdown_send();
  done = true;
}

TEST_F(TlsTest, LongBodiesInManyPartsArriveWholeThroughAFullSocket) {
  const auto as_server = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, const TlsClient& c) -> Task<> {
    co_await t.connect(s, c);
    std::string whole;
    while (whole.size() < 8'000'000) whole += std::to_string(whole.size());
    std::vector<iovec> parts;
    std::size_t size = 1;
    for (std::size_t at = 0; at < whole.size(); at += parts.back().iov_len, size = size * 7 % 70'001 + 1) {
      parts.push_back({whole.data() + at, std::min(size, whole.size() - at)});
    }
    bool sent = false;
    Task<> sending = send_parts(*t.server, t.server_signal, std::move(parts), sent);
    sending.start();
    EXPECT_FALSE(sent);  // more than the socket takes
    EXPECT_EQ(co_await t.read_text(*t.client, t.client_signal, whole.size()), whole);
    EXPECT_TRUE(sent);
    std::array<char, 1> into{};
    while (t.client->read(into).status == IoStatus::again) co_await t.client_signal.wait();
    EXPECT_EQ(t.client->read(into).status, IoStatus::eof);
  }(*this, *as_server, *as_client));
}

TEST_F(TlsTest, SmallPartsGoOutAsOneRecord) {
  const auto as_server = load(server_settings());
  run([](TlsTest& t, const TlsServer& s) -> Task<> {
    // A blocking client of the test's own, which sees the records.
    const RawClient raw(t.listening.port());
    t.server = Stream::adopt(*t.loop, t.listening.accept(SOCK_NONBLOCK), t.server_signal).value();
    EXPECT_TRUE(t.server->start_tls(s));
    std::thread connecting([&] { raw.connect(); });
    EXPECT_EQ(co_await t.open(*t.server, t.server_signal), IoStatus::ok);
    connecting.join();
    std::string octet = "x";
    const std::vector<iovec> parts(100, iovec{octet.data(), 1});
    EXPECT_EQ(t.server->write(parts).octets, 100U);
    EXPECT_EQ(raw.read_record(), 100);
  }(*this, *as_server));
}

TEST_F(TlsTest, AnEndWithoutCloseNotifyIsAFailure) {
  const auto as_server = load(server_settings());
  run([](TlsTest& t, const TlsServer& s) -> Task<> {
    const RawClient raw(t.listening.port());
    t.server = Stream::adopt(*t.loop, t.listening.accept(SOCK_NONBLOCK), t.server_signal).value();
    EXPECT_TRUE(t.server->start_tls(s));
    std::thread connecting([&] { raw.connect(); });
    EXPECT_EQ(co_await t.open(*t.server, t.server_signal), IoStatus::ok);
    connecting.join();
    EXPECT_EQ(SSL_write(raw.ssl, "half", 4), 4);
    raw.cut();
    EXPECT_EQ(co_await t.read_text(*t.server, t.server_signal, 4), "half");
    std::array<char, 8> into{};
    while (!t.server->readable()) co_await t.server_signal.wait();
    EXPECT_EQ(t.server->read(into).status, IoStatus::failed);
    EXPECT_EQ(t.server->failure(), "TLS read: the peer closed without close_notify");
  }(*this, *as_server));
}

TEST_F(TlsTest, CloseNotifyIsTheEnd) {
  const auto as_server = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, const TlsClient& c) -> Task<> {
    co_await t.connect(s, c);
    t.server->close();
    while (!t.client->peer_closed()) co_await t.client_signal.wait();
    EXPECT_EQ(co_await t.read_text(*t.client, t.client_signal, 1), "");
    std::array<char, 8> into{};
    EXPECT_EQ(t.client->read(into).status, IoStatus::eof);
  }(*this, *as_server, *as_client));
}

TEST_F(TlsTest, TheSecondConnectionResumesTheFirst) {
  const auto as_server = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, const TlsClient& c) -> Task<> {
    co_await t.connect(s, c);
    EXPECT_FALSE(t.client->resumed());
    co_await t.exchange("x");
    t.client->abort();  // not in order: the session is good all the same
    for (int again = 0; again < 3; ++again) {
      SCOPED_TRACE(again);
      co_await t.connect(s, c);
      EXPECT_EQ(t.client_status, IoStatus::ok) << t.client->failure();
      EXPECT_TRUE(t.client->resumed());
      EXPECT_TRUE(t.server->resumed());
      co_await t.exchange("x");
    }
  }(*this, *as_server, *as_client));
}

TEST_F(TlsTest, ATicketResumesAtAnotherContextWithTheSameKeysButNotUnderAnotherDemand) {
  const auto first = load(server_settings());
  const auto second = load(server_settings());
  auto demanding = server_settings();
  demanding.client_ca = issuer.file();
  demanding.client_certificate = ClientCertificate::optional;
  const auto third = load(demanding);
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& a, const TlsServer& b, const TlsServer& c,
         const TlsClient& as) -> Task<> {
    co_await t.connect(a, as);
    co_await t.exchange("x");
    co_await t.connect(b, as);
    EXPECT_TRUE(t.client->resumed());
    co_await t.exchange("x");
    co_await t.connect(c, as);
    EXPECT_EQ(t.client_status, IoStatus::ok) << t.client->failure();
    EXPECT_FALSE(t.client->resumed());
  }(*this, *first, *second, *third, *as_client));
}

TEST_F(TlsTest, OldTicketsResumeUntilTheirKeyIsGone) {
  const auto as_server = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, const TlsClient& c) -> Task<> {
    co_await t.connect(s, c);
    co_await t.exchange("x");
    (void)t.tickets->newest(monotonic_now() + std::chrono::hours(1));
    co_await t.connect(s, c);
    EXPECT_TRUE(t.client->resumed());
    for (const int hour : {2, 3, 4}) (void)t.tickets->newest(monotonic_now() + std::chrono::hours(hour));
    co_await t.connect(s, c);
    EXPECT_FALSE(t.client->resumed());
    EXPECT_EQ(t.client_status, IoStatus::ok);
  }(*this, *as_server, *as_client));
}

TEST_F(TlsTest, TheServerChoosesTheCertificateByName) {
  const CertificateFiles other = issuer.issue("DNS:*.other.example");
  auto settings = server_settings();
  settings.certificates.push_back({other.chain, other.key});
  const auto as_server = load(settings);
  for (const auto& [name, fits] : std::vector<std::pair<std::string, bool>>{
           {"api.example", true}, {"eu.other.example", true}, {"unknown.example", false}}) {
    const auto as_client = load(client_for(issuer.file(), name));
    run([](TlsTest& t, const TlsServer& s, const TlsClient& c, bool good) -> Task<> {
      co_await t.connect(s, c);
      EXPECT_EQ(t.client_status, good ? IoStatus::ok : IoStatus::failed);
      if (good) {
        co_await t.exchange("x");
      } else {
        EXPECT_EQ(t.client->failure(), "TLS handshake: certificate verify failed (hostname mismatch)");
      }
    }(*this, *as_server, *as_client, fits));
  }
}

TEST_F(TlsTest, AnEndpointIsVerifiedByIssuerAndAddress) {
  const CertificateFiles address = issuer.issue("IP:127.0.0.1");
  const auto as_server = load(TlsServerSettings{{{address.chain, address.key}}, {}, ClientCertificate::none});
  const TestIssuer stranger("a stranger");
  Policy::EndpointTls unverified;
  unverified.verify = false;
  const struct {
    Policy::EndpointTls settings;
    const char* failure;
  } cases[] = {
      {client_for(issuer.file(), "127.0.0.1"), ""},
      {client_for(issuer.file(), "127.0.0.2"), "IP address mismatch"},
      {client_for(stranger.file(), "127.0.0.1"), "unable to get local issuer certificate"},
      {client_for("", "127.0.0.1"), "unable to get local issuer certificate"},
      {unverified, ""},
  };
  for (const auto& [settings, failure] : cases) {
    const auto as_client = load(settings);
    run([](TlsTest& t, const TlsServer& s, const TlsClient& c, std::string_view expected) -> Task<> {
      co_await t.connect(s, c);
      EXPECT_EQ(t.client_status, expected.empty() ? IoStatus::ok : IoStatus::failed);
      EXPECT_NE(t.client->failure().find(expected), std::string::npos) << t.client->failure();
    }(*this, *as_server, *as_client, failure));
  }
}

TEST_F(TlsTest, ClientCertificatesAreDemandedAsSet) {
  const CertificateFiles known = issuer.issue("DNS:client.example");
  TestIssuer stranger("a stranger");
  const CertificateFiles unknown = stranger.issue("DNS:client.example");
  const struct {
    ClientCertificate demand;
    CertificateFiles shown;
    bool good;
  } cases[] = {{ClientCertificate::none, unknown, true},     {ClientCertificate::optional, {}, true},
               {ClientCertificate::optional, known, true},   {ClientCertificate::optional, unknown, false},
               {ClientCertificate::required, {}, false},     {ClientCertificate::required, known, true},
               {ClientCertificate::required, unknown, false}};
  for (const auto& [demand, shown, good] : cases) {
    auto settings = server_settings();
    settings.client_certificate = demand;
    if (demand != ClientCertificate::none) settings.client_ca = issuer.file();
    auto ours = client_settings();
    ours.certificate = shown.chain;
    ours.key = shown.key;
    const auto as_server = load(settings);
    const auto as_client = load(ours);
    run([](TlsTest& t, const TlsServer& s, const TlsClient& c, bool fine) -> Task<> {
      co_await t.connect(s, c);
      EXPECT_EQ(t.server_status, fine ? IoStatus::ok : IoStatus::failed) << t.server->failure();
    }(*this, *as_server, *as_client, good));
  }
}

TEST_F(TlsTest, ANewCertificateLeavesOpenConnectionsAlone) {
  auto before = load(server_settings());
  const auto as_client = load(client_settings());
  run([](TlsTest& t, std::shared_ptr<const TlsServer>& s, const TlsClient& c) -> Task<> {
    co_await t.connect(*s, c);
    s.reset();
    co_await t.exchange("still here");
  }(*this, before, *as_client));
}

TEST_F(TlsTest, AClientThatIsUnloadedLeavesItsConnectionsAlone) {
  const auto as_server = load(server_settings());
  auto as_client = load(client_settings());
  run([](TlsTest& t, const TlsServer& s, std::shared_ptr<const TlsClient>& c) -> Task<> {
    co_await t.connect(s, *c);
    c.reset();
    co_await t.exchange("a ticket comes with this");
  }(*this, *as_server, as_client));
}

}  // namespace
}  // namespace perigee::router
