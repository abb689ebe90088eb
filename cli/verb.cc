#include "cli/verb.h"

#include <algorithm>

namespace perigee::cli {
namespace {

const Option* find_option(const Verb& verb, std::string_view name) {
  const auto found = std::find_if(verb.options.begin(), verb.options.end(),
                                  [name](const Option& option) { return option.name == name; });
  return found == verb.options.end() ? nullptr : &*found;
}

std::string form(const Option& option) {
  return std::string(option.name) + (option.value.empty() ? "" : " " + std::string(option.value));
}

Error wrong(const Verb& verb, const std::string& what) {
  return Error{"", what + "; usage: " + verb.usage()};
}

}  // namespace

std::string Verb::usage() const {
  std::string text = "perigee " + std::string(name);
  for (const std::string_view operand : operands) text.append(" ").append(operand);
  for (const Option& option : options)
    text += option.required ? " " + form(option) : " [" + form(option) + "]";
  return text;
}

Result<Arguments> Arguments::parse(const Verb& verb, std::span<const std::string> words) {
  Arguments arguments;
  bool options_ended = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (options_ended || word.size() < 2 || word[0] != '-') {
      arguments.operands_.push_back(word);
      continue;
    }
    if (word == "--") {
      options_ended = true;
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const Option* option = find_option(verb, name);
    if (option == nullptr) return wrong(verb, "unknown option " + name);
    if (arguments.has(name)) return wrong(verb, name + " is given twice");
    std::string value;
    if (option->value.empty()) {
      if (equals != std::string::npos) return wrong(verb, name + " takes no value");
    } else if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (++i < words.size()) {
      value = words[i];
    }
    if (!option->value.empty() && value.empty()) return wrong(verb, name + " needs a value");
    arguments.options_.emplace(name, value);
  }
  if (arguments.operands_.size() < verb.operands.size()) {
    return wrong(verb, std::string(verb.operands[arguments.operands_.size()]) + " is missing");
  }
  if (arguments.operands_.size() > verb.operands.size()) {
    return wrong(verb, "\"" + arguments.operands_[verb.operands.size()] + "\" is one word too many");
  }
  for (const Option& option : verb.options) {
    if (option.required && !arguments.has(option.name)) return wrong(verb, form(option) + " is missing");
  }
  return arguments;
}

std::optional<std::string> Arguments::option(std::string_view name) const {
  const auto found = options_.find(name);
  if (found == options_.end()) return std::nullopt;
  return found->second;
}

}  // namespace perigee::cli
