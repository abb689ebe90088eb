// Certificates for tests, made with OpenSSL when the test runs: nothing secret is stored, nothing expires.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace perigee::router {

struct CertificateFiles {
  std::string chain;
  std::string key;
};

// An issuer and what it issued, in a directory that goes with it.
class TestIssuer {
 public:
  explicit TestIssuer(const std::string& name) : directory_(make_directory()), name_(name) {
    key_ = EVP_EC_gen("P-256");
    certificate_ = issue(name, key_, "", true);
    write_certificate(file(), certificate_);
  }
  TestIssuer(const TestIssuer&) = delete;
  TestIssuer& operator=(const TestIssuer&) = delete;
  ~TestIssuer() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
    std::filesystem::remove_all(directory_);
  }

  // The issuer's own certificate.
  [[nodiscard]] std::string file() const { return directory_ / "issuer.pem"; }
  [[nodiscard]] std::filesystem::path directory() const { return directory_; }

  // A certificate for `alternative`, for instance "DNS:api.example".
  CertificateFiles issue(const std::string& alternative) {
    EVP_PKEY* const key = EVP_EC_gen("P-256");
    X509* const certificate = issue(alternative, key, alternative, false);
    const std::string stem = directory_ / ("leaf" + std::to_string(++issued_));
    CertificateFiles files{stem + ".pem", stem + ".key"};
    write_certificate(files.chain, certificate);
    std::FILE* const out = std::fopen(files.key.c_str(), "w");
    EXPECT_EQ(PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr), 1);
    std::fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return files;
  }

 private:
  static std::filesystem::path make_directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "perigee-tls-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    return pattern;
  }

  static void write_certificate(const std::string& path, X509* certificate) {
    std::FILE* const out = std::fopen(path.c_str(), "w");
    EXPECT_EQ(PEM_write_X509(out, certificate), 1);
    std::fclose(out);
  }

  static void extend(X509* certificate, X509V3_CTX& context, int kind, const std::string& value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    EXPECT_NE(extension, nullptr) << value;
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  X509* issue(const std::string& subject, EVP_PKEY* key, const std::string& alternative, bool own) {
    static long serial = 0;
    X509* const made = X509_new();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made), -60);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    const auto set_name = [](X509_NAME* name, const std::string& text) {
      const auto* octets = reinterpret_cast<const unsigned char*>(text.c_str());
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, octets, -1, -1, 0);
    };
    set_name(X509_get_subject_name(made), subject);
    X509_NAME* const issuer = X509_NAME_new();
    set_name(issuer, name_);
    X509_set_issuer_name(made, issuer);
    X509_NAME_free(issuer);
    X509_set_pubkey(made, key);
    X509V3_CTX context;
    X509V3_set_ctx(&context, own ? made : certificate_, made, nullptr, nullptr, 0);
    extend(made, context, NID_basic_constraints, own ? "critical,CA:TRUE" : "CA:FALSE");
    if (!own) extend(made, context, NID_subject_alt_name, alternative);
    EXPECT_GT(X509_sign(made, key_, EVP_sha256()), 0);
    return made;
  }

  std::filesystem::path directory_;
  std::string name_;
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
  int issued_ = 0;
};

}  // namespace perigee::router
