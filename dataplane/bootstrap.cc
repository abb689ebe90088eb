#include "dataplane/bootstrap.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>

#include "contract/telemetry.h"

namespace perigee {
namespace {

// One key with its value and where it was given.
struct Setting {
  std::string key;
  std::string value;
  std::string where;
};

struct Key {
  std::string_view name;
  bool is_switch;  // takes no value on the command line, `true` or `false` in a file
  std::string_view value;
  std::string_view help;
};

constexpr std::array kKeys = {
    Key{"port", false, "NAME=ROLE,DEVICE",
        "a port; ROLE is link, edge or host; DEVICE is a DPDK vdev with its arguments\n"
        "(net_af_packet0,iface=edge0) or a PCI address; once for each port"},
    Key{"lcore", false, "N", "pin the worker to this CPU (default: any CPU this process may use)"},
    Key{"memory", false, "MB", "memory for packet buffers (default 128)"},
    Key{"no-huge", true, "", "do not use hugepages (also when there are none)"},
    Key{"flows", false, "N", "capacity of the flow table (default 262144)"},
    Key{"busy", true, "", "poll without sleeping: the whole CPU, the lowest latency"},
    Key{"table-dir", false, "DIR", "where the gateway writes the table (default /run/perigee/table)"},
    Key{"telemetry-dir", false, "DIR", "where measurements are published (default /run/perigee/telemetry)"},
    Key{"state-dir", false, "DIR", "where flows are kept; should be on tmpfs (default /run/perigee/state)"},
    Key{"table-owner", false, "UID", "the gateway's user, when it is neither ours nor root"},
};

const Key* find_key(std::string_view name) {
  const auto* found =
      std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : found;
}

std::string known_keys() {
  std::string text;
  for (const Key& key : kKeys) text += (text.empty() ? "" : ", ") + std::string(key.name);
  return text;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// Fills in a Bootstrap from settings and collects what is wrong with them.
class Builder {
 public:
  explicit Builder(Invocation& invocation) : invocation_(invocation) {}

  void apply(const Setting& setting);
  void check_whole();

 private:
  void port(const Setting& setting);
  void number(const Setting& setting, std::uint32_t low, std::uint32_t high, std::uint32_t& out);
  void optional_number(const Setting& setting, std::uint32_t high, std::optional<std::uint32_t>& out);
  void flag(const Setting& setting, bool& out);
  void directory(const Setting& setting, std::string& out);
  void error(const Setting& setting, std::string what) {
    invocation_.errors.push_back(Error{setting.where, std::move(what)});
  }

  Invocation& invocation_;
};

void Builder::apply(const Setting& setting) {
  Bootstrap& bootstrap = invocation_.bootstrap;
  const std::string& key = setting.key;
  if (key == "port") return port(setting);
  if (key == "lcore") return optional_number(setting, kMaxLcore, bootstrap.lcore);
  if (key == "memory") return number(setting, kMinMemoryMb, kMaxMemoryMb, bootstrap.memory_mb);
  if (key == "no-huge") return flag(setting, bootstrap.no_huge);
  if (key == "flows") return number(setting, kMinFlows, kMaxFlows, bootstrap.flows);
  if (key == "busy") return flag(setting, bootstrap.busy);
  if (key == "table-dir") return directory(setting, bootstrap.table_dir);
  if (key == "telemetry-dir") return directory(setting, bootstrap.telemetry_dir);
  if (key == "state-dir") return directory(setting, bootstrap.state_dir);
  if (key == "table-owner") return optional_number(setting, 0xfffffffeU, bootstrap.table_owner);
}

bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= 31 && std::all_of(text.begin(), text.end(), allowed);
}

std::optional<PortRole> role_of(std::string_view text) {
  for (PortRole role : {PortRole::link, PortRole::edge, PortRole::host}) {
    if (text == name_of(role)) return role;
  }
  return std::nullopt;
}

void Builder::port(const Setting& setting) {
  const std::string_view text = setting.value;
  const auto equals = text.find('=');
  const auto comma = equals == std::string_view::npos ? equals : text.find(',', equals);
  if (comma == std::string_view::npos) {
    return error(setting, "'" + setting.value + "' is not NAME=ROLE,DEVICE; for example " +
                              "edge0=edge,net_af_packet0,iface=edge0");
  }
  PortSetting port;
  port.name = text.substr(0, equals);
  const std::string role(text.substr(equals + 1, comma - equals - 1));
  const std::string_view device = text.substr(comma + 1);
  const auto device_end = device.find(',');
  port.device = device.substr(0, device_end);
  if (device_end != std::string_view::npos) port.arguments = device.substr(device_end + 1);

  if (!is_name(port.name)) {
    error(setting, "port name '" + port.name + "' should be 1 to 31 letters, digits, '.', '_' or '-'");
  }
  if (const auto known = role_of(role)) {
    port.role = *known;
  } else {
    error(setting, "role '" + role + "' should be link, edge or host");
  }
  if (port.device.empty()) error(setting, "port '" + port.name + "' has no device");
  for (const PortSetting& other : invocation_.bootstrap.ports) {
    if (other.name == port.name) error(setting, "port '" + port.name + "' is given twice");
    if (other.device == port.device) {
      error(setting, "device '" + port.device + "' is also that of port '" + other.name +
                         "'; give each its own number, as in net_af_packet0 and net_af_packet1");
    }
  }
  invocation_.bootstrap.ports.push_back(std::move(port));
}

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t low, std::uint32_t high) {
  std::uint32_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    return std::nullopt;
  return value;
}

void Builder::number(const Setting& setting, std::uint32_t low, std::uint32_t high, std::uint32_t& out) {
  if (const auto value = parse_number(setting.value, low, high)) {
    out = *value;
  } else {
    error(setting, setting.key + " '" + setting.value + "' should be a number from " + std::to_string(low) +
                       " to " + std::to_string(high));
  }
}

void Builder::optional_number(const Setting& setting, std::uint32_t high, std::optional<std::uint32_t>& out) {
  std::uint32_t value = 0;
  const std::size_t before = invocation_.errors.size();
  number(setting, 0, high, value);
  if (invocation_.errors.size() == before) out = value;
}

void Builder::flag(const Setting& setting, bool& out) {
  if (setting.value == "true" || setting.value == "false") {
    out = setting.value == "true";
  } else {
    error(setting, setting.key + " '" + setting.value + "' should be true or false");
  }
}

void Builder::directory(const Setting& setting, std::string& out) {
  if (setting.value.empty()) {
    error(setting, setting.key + " is empty; it should be the path of a directory");
  } else {
    out = setting.value;
  }
}

void Builder::check_whole() {
  const Bootstrap& bootstrap = invocation_.bootstrap;
  std::vector<Error>& errors = invocation_.errors;
  // With other errors before it, a missing port may just be one that could not be read.
  if (bootstrap.ports.empty() && errors.empty()) {
    errors.push_back(Error{"--port", "there must be at least one port"});
  }
  if (bootstrap.ports.size() > telemetry::kMaxPorts) {
    errors.push_back(Error{"--port", std::to_string(bootstrap.ports.size()) + " ports; at most " +
                                         std::to_string(telemetry::kMaxPorts) + " can be served"});
  }
  const std::array directories = {&bootstrap.table_dir, &bootstrap.telemetry_dir, &bootstrap.state_dir};
  for (std::size_t i = 0; i < directories.size(); ++i) {
    for (std::size_t j = i + 1; j < directories.size(); ++j) {
      if (*directories[i] == *directories[j]) {
        errors.push_back(Error{*directories[i], "is given for two purposes; each directory has one writer"});
      }
    }
  }
}

// The command line as settings, --help, --version and --config apart.
struct CommandLine {
  std::vector<Setting> settings;
  std::optional<std::string> config;
  Purpose purpose = Purpose::run;
};

CommandLine read_command_line(std::span<const std::string> arguments, std::vector<Error>& errors) {
  CommandLine line;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--help") line.purpose = Purpose::help;
    if (argument == "--version") line.purpose = Purpose::version;
    if (argument == "--help" || argument == "--version") continue;
    if (!argument.starts_with("--")) {
      errors.push_back(Error{argument, "is not an option; options start with --"});
      continue;
    }
    const auto equals = argument.find('=');
    const std::string flag = argument.substr(0, equals);
    const std::string key = flag.substr(2);
    const Key* known = find_key(key);
    if (known == nullptr && key != "config") {
      errors.push_back(Error{flag, "is unknown; known are config, " + known_keys() + ", help, version"});
      continue;
    }
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (known != nullptr && known->is_switch) {
      value = "true";
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      errors.push_back(Error{flag, "needs a value"});
      continue;
    }
    if (key == "config") {
      if (line.config) errors.push_back(Error{flag, "is given twice"});
      line.config = value;
    } else {
      line.settings.push_back(Setting{key, value, flag});
    }
  }
  return line;
}

std::vector<Setting> read_file(const std::string& path, std::string_view text, std::vector<Error>& errors) {
  std::vector<Setting> settings;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto newline = text.find('\n');
    const std::string_view line = trim(text.substr(0, newline));
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    if (line.empty() || line.front() == '#') continue;
    const std::string where = path + ":" + std::to_string(number);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) {
      errors.push_back(Error{where, "'" + std::string(line) + "' is not `key = value`"});
      continue;
    }
    const std::string key(trim(line.substr(0, equals)));
    if (find_key(key) == nullptr) {
      errors.push_back(Error{where, "key '" + key + "' is unknown; known are " + known_keys()});
      continue;
    }
    settings.push_back(Setting{key, std::string(trim(line.substr(equals + 1))), where});
  }
  return settings;
}

void apply_all(const std::vector<Setting>& settings, Builder& builder, std::vector<Error>& errors) {
  std::set<std::string> seen;
  for (const Setting& setting : settings) {
    if (setting.key != "port" && !seen.insert(setting.key).second) {
      errors.push_back(Error{setting.where, setting.key + " is given twice"});
      continue;
    }
    builder.apply(setting);
  }
}

}  // namespace

const char* name_of(PortRole role) {
  switch (role) {
    case PortRole::link:
      return "link";
    case PortRole::edge:
      return "edge";
    case PortRole::host:
      return "host";
  }
  return "unknown";
}

bool PortSetting::is_pci() const { return device.find(':') != std::string::npos; }

std::string PortSetting::device_arguments() const {
  return arguments.empty() ? device : device + "," + arguments;
}

Invocation parse_invocation(std::span<const std::string> arguments, const ReadConfig& read_config) {
  Invocation invocation;
  const CommandLine line = read_command_line(arguments, invocation.errors);
  invocation.purpose = line.purpose;
  if (line.purpose != Purpose::run) return invocation;

  Builder builder(invocation);
  if (line.config) {
    if (const Result<std::string> text = read_config(*line.config)) {
      apply_all(read_file(*line.config, *text, invocation.errors), builder, invocation.errors);
    } else {
      invocation.errors.push_back(text.error());
    }
  }
  apply_all(line.settings, builder, invocation.errors);
  builder.check_whole();
  return invocation;
}

std::string usage() {
  std::string text =
      "usage: perigee-dataplane --port NAME=ROLE,DEVICE... [options]\n\n"
      "Measures the links to other PoPs and forwards packets as the table says.\n\n";
  const auto add = [&text](std::string option, std::string_view help) {
    option.resize(std::max<std::size_t>(option.size() + 1, 28), ' ');
    text += "  " + option;
    for (std::size_t start = 0; start <= help.size();) {
      const auto end = std::min(help.find('\n', start), help.size());
      if (start != 0) text += std::string(30, ' ');
      text += std::string(help.substr(start, end - start)) + "\n";
      start = end + 1;
    }
  };
  add("--config FILE", "read the options below from FILE first, one `key = value` a line");
  for (const Key& key : kKeys) {
    add("--" + std::string(key.name) + (key.value.empty() ? "" : " " + std::string(key.value)), key.help);
  }
  add("--help", "this text");
  add("--version", "the version");
  return text;
}

}  // namespace perigee
