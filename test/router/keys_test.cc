#include "router/keys.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "steering/policy_yaml.h"
#include "test/steering/routed_world.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kSecret = "AbCdEfGhIjKlMnOpQrStUv";  // of 22 characters

std::string hex(const Digest& digest) {
  std::string out;
  for (const unsigned char octet : digest) {
    out += "0123456789abcdef"[octet >> 4U];
    out += "0123456789abcdef"[octet & 15U];
  }
  return out;
}

std::string one_key(const std::string& more = "") {
  return "keys:\n  team: {sha256: " + hex(sha256(kSecret)) + ", tenant: acme" + more + "}\n";
}

std::shared_ptr<const KeyRing> ring(const std::string& text, const KeyRing* previous = nullptr) {
  const auto loaded = KeyRing::parse(text, "keys.yaml", previous);
  EXPECT_TRUE(loaded) << text_of(loaded.error());
  return loaded ? *loaded : nullptr;
}

std::string errors(const std::string& text) {
  const auto loaded = KeyRing::parse(text, "keys.yaml", nullptr);
  return loaded ? "" : text_of(loaded.error());
}

TEST(Keys, Sha256IsThatOfTheStandard) {
  // FIPS 180-4, "abc".
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Keys, FindsTheKeyOfItsTokenAlone) {
  const auto keys = ring(one_key());
  const std::string secret(kSecret);
  ASSERT_NE(keys->find("team." + secret), nullptr);
  EXPECT_EQ(keys->find("team." + secret)->tenant, "acme");
  for (const std::string& wrong : std::vector<std::string>{
           secret, "." + secret, "other." + secret, "team.", "team", std::string(), "team." + secret + "A",
           "team." + secret.substr(1) + "A", "team.." + secret, "Team." + secret,
           "team." + secret.substr(0, 21), "team." + hex(sha256(kSecret)), "team." + std::string(500, 'A')})
    EXPECT_EQ(keys->find(wrong), nullptr) << wrong;
}

TEST(Keys, AShortSecretIsNoneEvenWhenItsDigestIsListed) {
  const auto keys = ring("keys: {team: {sha256: " + hex(sha256("short")) + ", tenant: acme}}");
  EXPECT_EQ(keys->find("team.short"), nullptr);
  const auto empty = ring("keys: {team: {sha256: " + std::string(64, '0') + ", tenant: acme}}");
  EXPECT_EQ(empty->find("team.AAAAAAAAAAAAAAAAAAAAAA"), nullptr);
}

TEST(Keys, ReadsWhatAKeyMay) {
  const auto keys =
      ring(one_key(", models: [b, a/x], residency: [au], rpm: 60, tpm: 1000, concurrency: 3, shadow: true, "
                   "diagnostics: true"));
  const ApiKey* key = keys->find("team." + std::string(kSecret));
  ASSERT_NE(key, nullptr);
  EXPECT_TRUE(key->may_use("a/x"));
  EXPECT_TRUE(key->may_use("b"));
  EXPECT_FALSE(key->may_use("c"));
  EXPECT_EQ(key->residency->front(), "au");
  EXPECT_EQ(key->limits.requests, 60U);
  EXPECT_EQ(key->limits.tokens, 1000U);
  EXPECT_EQ(key->limits.concurrency, 3U);
  EXPECT_EQ(key->limits.shadow, (RequestLimits::Shadow{true, true, true}));
  const auto some = ring(one_key(", rpm: 60, tpm: 1000, shadow: [tpm]"));
  EXPECT_EQ(some->find("team." + std::string(kSecret))->limits.shadow,
            (RequestLimits::Shadow{false, true, false}));
  EXPECT_TRUE(key->diagnostics);
  const auto unlimited = ring(one_key());
  const ApiKey* other = unlimited->find("team." + std::string(kSecret));
  EXPECT_TRUE(other->may_use("anything"));
  EXPECT_FALSE(other->limits.any());
}

TEST(Keys, SaysAllErrorsWithTheirPlacesAndNoDigest) {
  const std::string said = errors(
      "keys:\n"
      "  a: {sha256: 12ab, tenant: t}\n"
      "  b: {tenant: t, rpm: 0}\n"
      "  c: {sha256: " +
      hex(sha256("x")) +
      ", tenant: t, modells: [m]}\n"
      "  d: {sha256: " +
      hex(sha256("y")) +
      ", tenant: t, models: []}\n"
      "  e: {sha256: " +
      hex(sha256("z")) +
      ", shadow: true, tpm: 0}\n"
      "  f: {sha256: " +
      hex(sha256("v")) + ", tenant: t, rpm: 1, shadow: [rpm, tpm]}\n");
  EXPECT_THAT(said, HasSubstr("keys.yaml:2:15: keys.a.sha256: is no SHA-256"));
  EXPECT_THAT(said, HasSubstr("keys.yaml:3:3: keys.b: sha256 is missing"));
  EXPECT_THAT(said, HasSubstr("keys.b.rpm"));
  EXPECT_THAT(said, HasSubstr("keys.c.modells"));
  EXPECT_THAT(said, HasSubstr("keys.d.models: is empty"));
  EXPECT_THAT(said, HasSubstr("keys.e: tenant is missing"));
  EXPECT_THAT(said, HasSubstr("keys.e.shadow: says nothing"));
  EXPECT_THAT(said, HasSubstr("keys.f.shadow[1]: \"tpm\" is none of the limits beside it"));
  EXPECT_THAT(said, Not(HasSubstr("12ab")));
  EXPECT_THAT(errors(""), HasSubstr("keys.yaml:1:1"));
  EXPECT_THAT(errors("keys: {a.b: {}}"), HasSubstr("a.b"));
  EXPECT_THAT(errors("keys: {a: 1}"), HasSubstr("keys.a"));
  EXPECT_THAT(errors("kyes: {}"), HasSubstr("kyes"));
}

TEST(Keys, AForwardedServiceMustNotLeadAroundTheResidencyOfAKey) {
  const auto said = [](const std::string& more, const std::string& chat) {
    const Policy policy = policy_from(
        replaced(kRoutedPolicy, "  web:", "  chat: {vip: 203.0.113.10:8000, " + chat + "}\n  web:"));
    return text_of(ring(one_key(more))->check_twins(policy));
  };
  const std::string both = "endpoints: [mel-1, per-1]";
  EXPECT_EQ(said(", residency: [au]", both),
            "services.chat.endpoints: \"per-1\" is also of \"ai\" and outside the residency of its key "
            "\"team\", and "
            "forwarded connections have no keys; leave it out of one of both, or confine this service by "
            "\"pops\"\n");
  EXPECT_EQ(said(", residency: [au]", both + ", pops: [mel]"), "");
  EXPECT_EQ(said(", residency: [au]", "endpoints: [mel-1]"), "");
  EXPECT_EQ(said(", residency: [au, eu]", both), "");
  EXPECT_EQ(said(", residency: [au], models: [phi]", both), "") << "phi is at mel-2 alone";
  EXPECT_EQ(said("", both), "");
}

TEST(Keys, CountersLiveOnOverReloads) {
  const std::string token = "team." + std::string(kSecret);
  const auto first = ring(one_key());
  const auto second = ring(one_key(", rpm: 5"), first.get());
  EXPECT_EQ(first->find(token)->counters, second->find(token)->counters);
  EXPECT_NE(first->find(token)->counters, ring(one_key())->find(token)->counters);
}

TEST(Keys, AFileThatOthersReadIsRefused) {
  std::string name = "/tmp/keys-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name.data());
  const auto path = folder / "keys.yaml";
  std::ofstream(path) << one_key();
  ::chmod(path.c_str(), 0600);
  EXPECT_TRUE(KeyRing::load(path, nullptr));
  ::chmod(path.c_str(), 0644);
  const auto open = KeyRing::load(path, nullptr);
  ASSERT_FALSE(open);
  EXPECT_THAT(text_of(open.error()), HasSubstr("chmod 600"));
  EXPECT_FALSE(KeyRing::load(folder / "absent", nullptr));
  std::filesystem::remove_all(folder);
}

TEST(Keys, APriorityIsOneOfThree) {
  const std::string token = "team." + std::string(kSecret);
  EXPECT_EQ(ring(one_key())->find(token)->priority, Priority::normal);
  EXPECT_EQ(ring(one_key(", priority: high"))->find(token)->priority, Priority::high);
  EXPECT_EQ(ring(one_key(", priority: low"))->find(token)->priority, Priority::low);
  EXPECT_THAT(errors(one_key(", priority: urgent")), HasSubstr("keys.team.priority"));
}

}  // namespace
}  // namespace perigee::router
