#include <gmock/gmock.h>
#include <openssl/evp.h>

#include <array>

#include "test/cli/run_words.h"

namespace perigee::cli {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

TEST(Key, PrintsATokenAndTheLineThatKnowsItsDigest) {
  const Ran ran = run_words({"key", "new", "--id", "team-a", "--tenant", "acme"});
  ASSERT_EQ(ran.code, kOk) << ran.err;
  ASSERT_THAT(ran.out, MatchesRegex("team-a\\.[A-Za-z0-9_-]{32}\n"
                                    "  team-a: \\{sha256: [0-9a-f]{64}, tenant: acme\\}\n"));
  const std::string secret = ran.out.substr(7, 32);
  std::array<unsigned char, 32> digest{};
  ASSERT_EQ(EVP_Digest(secret.data(), secret.size(), digest.data(), nullptr, EVP_sha256(), nullptr), 1);
  std::string hex;
  for (const unsigned char octet : digest) {
    hex += "0123456789abcdef"[octet >> 4U];
    hex += "0123456789abcdef"[octet & 15U];
  }
  EXPECT_THAT(ran.out, HasSubstr(hex));
  EXPECT_NE(run_words({"key", "new", "--id", "team-a", "--tenant", "acme"}).out, ran.out);
}

TEST(Key, SaysWhatIsWrong) {
  EXPECT_EQ(run_words({"key", "old", "--id", "a", "--tenant", "b"}).code, kUsage);
  EXPECT_EQ(run_words({"key", "new", "--id", "a"}).code, kUsage);
  const Ran ran = run_words({"key", "new", "--id", "a.b", "--tenant", "c"});
  EXPECT_EQ(ran.code, kUsage);
  EXPECT_THAT(ran.err, HasSubstr("--id"));
  EXPECT_EQ(ran.out, "");
}

}  // namespace
}  // namespace perigee::cli
