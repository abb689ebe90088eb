#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>

#include "cli/verbs.h"
#include "steering/text_units.h"

namespace perigee::cli {
namespace {

constexpr Option kId{"--id", "ID", "the key's name: letters, digits, '-', '_'", true};
constexpr Option kTenant{"--tenant", "NAME", "whose it is", true};

// 192 bits: a whole number of base64url characters, none of padding.
using Secret = std::array<unsigned char, 24>;

std::string base64url(const Secret& secret) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (std::size_t i = 0; i < secret.size(); i += 3) {
    const std::uint32_t bits =
        std::uint32_t{secret[i]} << 16U | std::uint32_t{secret[i + 1]} << 8U | secret[i + 2];
    for (const unsigned shift : {18U, 12U, 6U, 0U}) out += kLetters[(bits >> shift) & 63U];
  }
  return out;
}

std::string hex(const std::array<unsigned char, 32>& digest) {
  std::string out;
  for (const unsigned char octet : digest) {
    out += "0123456789abcdef"[octet >> 4U];
    out += "0123456789abcdef"[octet & 15U];
  }
  return out;
}

int run(const Arguments& arguments, Terminal& terminal) {
  if (arguments.operand(0) != "new") {
    terminal.err << "perigee key: there is only \"new\"\n";
    return kUsage;
  }
  const std::string id = arguments.option(kId.name).value();
  const std::string tenant = arguments.option(kTenant.name).value();
  for (const auto& [option, text] : {std::pair(kId.name, id), std::pair(kTenant.name, tenant)}) {
    if (const auto name = parse_name(text); !name) {
      terminal.err << "perigee key: " << option << ": " << name.error().what << "\n";
      return kUsage;
    }
  }
  Secret random{};
  std::array<unsigned char, 32> digest{};
  const bool made = RAND_bytes(random.data(), static_cast<int>(random.size())) == 1;
  const std::string secret = base64url(random);
  if (!made || EVP_Digest(secret.data(), secret.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    terminal.err << "perigee key: OpenSSL gives no random octets or no SHA-256\n";
    return kFailed;
  }
  terminal.err << "The API key, shown this once; below it, its line for the key file, under \"keys:\".\n";
  terminal.out << id << "." << secret << "\n  " << id << ": {sha256: " << hex(digest)
               << ", tenant: " << tenant << "}\n";
  return kOk;
}

}  // namespace

Verb key_verb() {
  return {"key",
          "makes an API key for clients of routed services: \"perigee key new\"",
          {"new"},
          {kId, kTenant},
          run};
}

}  // namespace perigee::cli
