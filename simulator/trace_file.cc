#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>

#include "simulator/trace.h"

namespace perigee::simulator {
namespace {

constexpr std::string_view kAzureHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";
constexpr std::string_view kBurstHeader =
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type";

// A line and how far it was read.
class Line {
 public:
  Line(std::string_view text, std::size_t number) : text_(text), number_(number) {}

  // The field up to the next comma, or to the end of the line. Each field is asked for once.
  std::string_view field() {
    begin_ = next_;
    const std::size_t comma = std::min(text_.find(',', begin_), text_.size());
    next_ = comma + 1;
    return text_.substr(begin_, comma - begin_);
  }
  [[nodiscard]] bool more() const { return next_ <= text_.size(); }
  // At the field last read, `offset` octets into it.
  [[nodiscard]] Error wrong(const std::string& file, const std::string& what, std::size_t offset = 0) const {
    return {file + ":" + std::to_string(number_) + ":" + std::to_string(begin_ + offset + 1), what};
  }
  [[nodiscard]] Error wrong_after(const std::string& file, const std::string& what) const {
    return {file + ":" + std::to_string(number_) + ":" + std::to_string(std::min(next_, text_.size()) + 1),
            what};
  }

 private:
  std::string_view text_;
  std::size_t number_;
  std::size_t begin_ = 0, next_ = 0;
};

std::optional<std::uint64_t> whole(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> tokens_of(std::string_view text) {
  const auto value = whole(text);
  if (!value || *value > 100'000'000) return std::nullopt;  // more is no count of tokens
  return static_cast<std::uint32_t>(*value);
}

// "2023-11-16 18:15:46.6805900", then nothing, "Z" or an offset from UTC.
std::optional<Nanos> time_of_day(std::string_view text) {
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != ' ' && text[10] != 'T') ||
      text[13] != ':' || text[16] != ':')
    return std::nullopt;
  const auto part = [&](std::size_t at, std::size_t length) { return whole(text.substr(at, length)); };
  const auto year = part(0, 4), month = part(5, 2), day = part(8, 2);
  const auto hour = part(11, 2), minute = part(14, 2), second = part(17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *year < 1970 || *year > 2200 || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  Nanos time = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
               std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  text.remove_prefix(19);
  if (!text.empty() && text[0] == '.') {
    std::int64_t unit = 100'000'000;
    std::size_t digits = 1;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits, unit /= 10)
      time += Nanos(unit * (text[digits] - '0'));
    if (digits == 1) return std::nullopt;
    text.remove_prefix(digits);
  }
  if (text.empty() || text == "Z") return time;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const auto hours = whole(text.substr(1, 2)), minutes = whole(text.substr(4, 2));
  if (!hours || !minutes || *hours > 14 || *minutes > 59) return std::nullopt;
  const Nanos offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return text[0] == '+' ? time - offset : time + offset;
}

std::optional<Nanos> seconds_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value) || value < 0 || value > 4e9) return std::nullopt;
  return Nanos(static_cast<std::int64_t>(value * 1e9));
}

constexpr const char* kTokens = "a number of tokens was expected, 0 to 100000000";

Result<TraceEntry> read_line(Line& line, TraceFormat format, const std::string& file) {
  TraceEntry entry;
  const auto next = [&](std::uint32_t& tokens) {
    if (!line.more()) return false;
    const auto value = tokens_of(line.field());
    tokens = value.value_or(0);
    return value.has_value();
  };
  const bool azure = format == TraceFormat::azure;
  const auto at = azure ? time_of_day(line.field()) : seconds_of(line.field());
  if (!at)
    return line.wrong(file, azure ? "a time was expected, such as \"2023-11-16 18:15:46.6805900\""
                                  : "a time in seconds was expected, such as 5.0");
  entry.at = *at;
  if (!azure) {
    if (!line.more()) return line.wrong_after(file, "the model is missing");
    line.field();
  }
  for (std::uint32_t* tokens : {&entry.prompt, &entry.output}) {
    if (!line.more()) return line.wrong_after(file, kTokens);
    if (!next(*tokens)) return line.wrong(file, kTokens);
  }
  if (!azure) {
    std::uint32_t total = 0;
    if (!line.more()) return line.wrong_after(file, kTokens);
    if (!next(total)) return line.wrong(file, kTokens);
    if (!line.more()) return line.wrong_after(file, "the log type is missing");
    line.field();
  }
  if (line.more()) return line.wrong_after(file, "one column too many");
  return entry;
}

}  // namespace

Result<std::vector<TraceEntry>> read_trace(std::string_view text, TraceFormat format,
                                           const std::string& file) {
  const std::string_view header = format == TraceFormat::azure ? kAzureHeader : kBurstHeader;
  std::vector<TraceEntry> entries;
  std::optional<Nanos> first;
  Nanos last{0};
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view content = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!content.empty() && content.back() == '\r') content.remove_suffix(1);
    Line line(content, ++number);
    if (number == 1) {
      if (content != header) return line.wrong(file, "the header must be \"" + std::string(header) + "\"");
      continue;
    }
    if (content.empty() && text.empty()) break;
    auto entry = read_line(line, format, file);
    if (entry.has_error()) return entry.error();
    if (!first) first = last = entry->at;
    if (entry->at < last)
      return Line(content, number).wrong(file, "the time is before that of the line above");
    last = entry->at;
    if (format == TraceFormat::burstgpt && entry->output == 0) continue;
    if (entries.size() == kMaxTraceLines)
      return line.wrong(file, "more than " + std::to_string(kMaxTraceLines) + " requests");
    entry->at -= *first;
    entry->prompt = std::max(entry->prompt, 1U);
    entry->output = std::max(entry->output, 1U);
    entries.push_back(*entry);
  }
  if (entries.empty()) return Error{file, "there is no request in it"};
  return entries;
}

}  // namespace perigee::simulator
