// The vectors in test/vectors/http: an optional comment line, "request|response EXPECTATION", then the
// octets: a newline is LF, `\r` CR, and there are \n \t \\ \xHH and \(COUNT:TEXT) for TEXT repeated.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace perigee::router::test {

struct HttpVector {
  std::string name;
  std::string kind;
  std::string expectation;  // "ok" or a refusal's name
  std::string octets;
};

inline std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char escape = text.at(++i);
    if (escape == 'r') out += '\r';
    if (escape == 'n') out += '\n';
    if (escape == 't') out += '\t';
    if (escape == '\\') out += '\\';
    if (escape == 'x') {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    }
    if (escape == '(') {
      const std::size_t colon = text.find(':', i);
      const std::size_t end = text.find(')', colon);
      const std::string repeated = unescaped(text.substr(colon + 1, end - colon - 1));
      for (int left = std::stoi(std::string(text.substr(i + 1, colon - i - 1))); left > 0; --left)
        out += repeated;
      i = end;
    }
  }
  return out;
}

inline std::vector<HttpVector> http_vectors() {
  std::vector<HttpVector> vectors;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(PERIGEE_SOURCE_DIR) + "/test/vectors/http")) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::string line;
    HttpVector vector;
    vector.name = entry.path().stem().string();
    while (std::getline(file, line) && line.starts_with('#')) continue;
    vector.kind = line.substr(0, line.find(' '));
    vector.expectation = line.substr(line.find(' ') + 1);
    vector.octets = unescaped(std::string(std::istreambuf_iterator<char>(file), {}));
    vectors.push_back(std::move(vector));
  }
  std::sort(vectors.begin(), vectors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return vectors;
}

}  // namespace perigee::router::test
