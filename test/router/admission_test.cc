#include "router/admission.h"

#include <gtest/gtest.h>

namespace perigee::router {
namespace {

constexpr std::string_view kToken = "team.AbCdEfGhIjKlMnOpQrStUv";

class AdmissionTest : public ::testing::Test {
 protected:
  AdmissionTest() {
    std::string digest;
    for (const unsigned char octet : sha256("AbCdEfGhIjKlMnOpQrStUv")) {
      digest += "0123456789abcdef"[octet >> 4U];
      digest += "0123456789abcdef"[octet & 15U];
    }
    snapshot.keys = *KeyRing::parse(
        "keys: {team: {sha256: " + digest + ", tenant: acme, residency: [au, nz]}}", "keys.yaml", nullptr);
    snapshot.regions = {"au", "nz", "us"};
    service.require_key = true;
  }
  Head head(const std::string& fields) {
    return parse_request_head("POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n").head;
  }
  Identity who(const std::string& fields) { return identify(snapshot, service, head(fields)); }
  RegionSet where(const std::string& fields, bool with_key = true) {
    const ApiKey* key = with_key ? snapshot.keys->find(kToken) : nullptr;
    return common_regions(snapshot, service, key, head(fields));
  }

  RouterSnapshot snapshot;
  RouterSnapshot::Service service;
};

TEST_F(AdmissionTest, KnowsABearerInAnyCase) {
  for (const std::string scheme : {"Bearer ", "bearer ", "BEARER   "}) {
    const Identity identity = who("Authorization: " + scheme + std::string(kToken) + "\r\n");
    ASSERT_NE(identity.key, nullptr) << scheme;
    EXPECT_EQ(identity.key->id, "team");
    EXPECT_FALSE(identity.error);
  }
}

TEST_F(AdmissionTest, AnswersOthersWith401) {
  const std::string good = "Authorization: Bearer " + std::string(kToken) + "\r\n";
  for (const std::string& fields :
       {std::string(), std::string("Authorization: \r\n"), std::string("Authorization: Bearer\r\n"),
        std::string("Authorization: Bearer x\r\n"), "Authorization: Basic " + std::string(kToken) + "\r\n",
        "Authorization: " + std::string(kToken) + "\r\n", good + good}) {
    const Identity identity = who(fields);
    EXPECT_EQ(identity.key, nullptr);
    ASSERT_TRUE(identity.error) << fields;
    EXPECT_EQ(identity.error->status, 401U);
    EXPECT_EQ(identity.error->code, "invalid_api_key");
  }
}

TEST_F(AdmissionTest, WithoutNeedAnUnknownKeyIsNobody) {
  service.require_key = false;
  EXPECT_FALSE(who("Authorization: Bearer none\r\n").error);
  EXPECT_EQ(who("Authorization: Bearer none\r\n").key, nullptr);
  EXPECT_NE(who("Authorization: Bearer " + std::string(kToken) + "\r\n").key, nullptr);
}

TEST_F(AdmissionTest, AKeyFileThatIsNotThereLetsNobodyIn) {
  snapshot.keys = nullptr;
  EXPECT_TRUE(who("Authorization: Bearer " + std::string(kToken) + "\r\n").error);
}

TEST_F(AdmissionTest, RegionsAreIntersected) {
  EXPECT_EQ(where("", false), kAnyRegion);
  EXPECT_EQ(where(""), 0b011U);
  service.residency = 0b110;
  EXPECT_EQ(where(""), 0b010U);
  EXPECT_EQ(where("x-perigee-residency: us\r\n"), 0U);
  EXPECT_EQ(where("X-Perigee-Residency: au , nz\r\n"), 0b010U);
}

TEST_F(AdmissionTest, ARequestOnlyNarrows) {
  EXPECT_EQ(where("x-perigee-residency: us\r\n", false), 0b100U);
  EXPECT_EQ(where("x-perigee-residency: au\r\nx-perigee-residency: us\r\n", false), 0b101U);
  EXPECT_EQ(where("x-perigee-residency: mars\r\n", false), 0U);
  EXPECT_EQ(where("x-perigee-residency: \r\n", false), 0U);
}

TEST_F(AdmissionTest, SticksToKeyAndSession) {
  const ApiKey* key = snapshot.keys->find(kToken);
  EXPECT_FALSE(sticky_of(nullptr, head("")));
  EXPECT_EQ(sticky_of(key, head("")), sticky_of(key, head("")));
  const auto session = sticky_of(key, head("x-session-id: a\r\n"));
  EXPECT_EQ(session, sticky_of(key, head("X-Session-Token: a\r\n")));
  EXPECT_NE(session, sticky_of(key, head("x-session-id: b\r\n")));
  EXPECT_NE(session, sticky_of(nullptr, head("x-session-id: a\r\n")));
}

}  // namespace
}  // namespace perigee::router
