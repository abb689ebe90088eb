#include "cli/admin_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cli/http_server.h"

namespace perigee::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(AdminClient, GetsOverTcp) {
  HttpServer server(http_answer("200 OK", "{}"));
  const auto reply = admin_get(server.url(), "/api/v1/links");
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(reply->status, 200U);
  EXPECT_EQ(reply->body, "{}");
  const std::string& request = server.requests().at(0);
  EXPECT_THAT(request, StartsWith("GET /api/v1/links HTTP/1.1\r\n"));
  // The gateway checks it: RFC 9112 section 3.2 wants the authority as in the URL.
  EXPECT_THAT(request, HasSubstr("\r\nHost: " + server.url().substr(7) + "\r\n"));
}

TEST(AdminClient, ASlashAtTheEndOfTheAddressIsNoMatter) {
  HttpServer server(http_answer("404 Not Found", "{}"));
  const auto reply = admin_get(server.url() + "/", "/x");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 404U) << "any status is an answer";
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /x "));
}

TEST(AdminClient, RefusesOtherAddresses) {
  for (const char* base : {"", "127.0.0.1:8620", "https://127.0.0.1:8620", "http://", "http://:80",
                           "http://h:", "http://h:80x", "http://h:999999", "http://h/path", "http://u@h"}) {
    const auto reply = admin_get(base, "/");
    ASSERT_FALSE(reply) << base;
    EXPECT_THAT(reply.error().text(), HasSubstr("is no address such as http://127.0.0.1:8620")) << base;
  }
}

TEST(AdminClient, SaysWhenNobodyIsThere) {
  std::string url;
  {
    HttpServer server("");
    url = server.url();
  }
  const auto tcp = admin_get(url, "/");
  ASSERT_FALSE(tcp);
  EXPECT_THAT(tcp.error().text(), HasSubstr("Connection refused"));
  EXPECT_THAT(tcp.error().text(), HasSubstr("is perigee-gateway running there?"));
  const auto local = admin_post("/nonexistent/admin.sock", "/", "");
  ASSERT_FALSE(local);
  EXPECT_THAT(local.error().text(), HasSubstr("No such file or directory"));
  EXPECT_THAT(local.error().text(), HasSubstr("--socket"));
  const auto long_path = admin_post("/" + std::string(200, 'x'), "/", "");
  ASSERT_FALSE(long_path) << "longer than a socket's name can be";
}

TEST(AdminClient, AGarbledOrCutAnswerIsAnError) {
  for (const char* answer :
       {"", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"}) {
    HttpServer server(answer);
    EXPECT_FALSE(admin_get(server.url(), "/")) << answer;
  }
}

// Bound and listening, but nobody accepts or answers: the kernel completes the connection.
TEST(AdminClient, GivesUpInTime) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  socklen_t size = sizeof address;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const auto reply = admin_get("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)), "/",
                               std::chrono::milliseconds(50));
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().text(), HasSubstr("no answer in time"));
  close(listener);
}

TEST(AdminClient, EncodesWhatIsNotPlain) {
  EXPECT_EQ(percent_encoded("chat-1_a.b~"), "chat-1_a.b~");
  EXPECT_EQ(percent_encoded("a b/c?d&e=\xc3\xa9"), "a%20b%2Fc%3Fd%26e%3D%C3%A9");
}

}  // namespace
}  // namespace perigee::cli
