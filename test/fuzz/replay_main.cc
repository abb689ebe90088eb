// Replays every seed of a directory and a fixed number of mutations of each, without libFuzzer: the fuzz
// targets are built and run by every test run, so they cannot rot. The mutations are the same in every run.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

Input mutated(const Input& seed, std::mt19937& random) {
  Input input = seed;
  const unsigned edits = 1 + random() % 4;
  for (unsigned i = 0; i < edits; ++i) {
    if (input.empty()) input.push_back(0);
    const std::size_t at = random() % input.size();
    switch (random() % 4) {
      case 0:
        input[at] = static_cast<std::uint8_t>(random());
        break;
      case 1:
        input[at] ^= static_cast<std::uint8_t>(1U << (random() % 8));
        break;
      case 2:
        input.resize(at);
        break;
      default:
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::uint8_t>(random()));
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kMutationsPerSeed = 2000;
  std::vector<Input> seeds = {Input{}};
  if (argc > 1 && std::filesystem::is_directory(argv[1])) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
      std::ifstream file(entry.path(), std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same inputs in every run
  for (const Input& seed : seeds) {
    LLVMFuzzerTestOneInput(seed.data(), seed.size());
    for (int i = 0; i < kMutationsPerSeed; ++i) {
      const Input input = mutated(seed, random);
      // An exact-size copy on the heap, so that the sanitizer sees a read of one octet too many.
      const Input exact(input.begin(), input.end());
      LLVMFuzzerTestOneInput(exact.data(), exact.size());
    }
  }
  std::printf("%zu seeds, %d mutations each\n", seeds.size(), kMutationsPerSeed);
  return 0;
}
