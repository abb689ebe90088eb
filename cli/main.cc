#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "cli/program.h"

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    perigee::cli::Terminal terminal{std::cout, std::cerr};
    const int code = perigee::cli::run(words, terminal);
    if (std::cout.flush()) return code;
    std::cerr << "perigee: the output could not be written\n";
  } catch (const std::exception& error) {
    std::cerr << "perigee: " << error.what() << "\n";
  }
  return perigee::cli::kFailed;
}
