// Aligned columns for people.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace perigee::cli {

struct Column {
  std::string title;
  bool right = false;  // numbers
};

class TextTable {
 public:
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns. Control characters, which could move a terminal's cursor, become '?'.
  void add(std::vector<std::string> cells);
  // The titles, then the rows; without rows a line that says `nothing`.
  void print(std::ostream& out, const std::string& nothing) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace perigee::cli
