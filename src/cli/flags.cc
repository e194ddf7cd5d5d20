#include "cli/flags.h"

#include <charconv>
#include <cstdio>
#include <utility>

#include "base/format.h"
#include "cli/command.h"

namespace knarr::cli {

namespace {

// Sources, weakest first.
constexpr int kConfigFile = 1;
constexpr int kEnvironment = 2;
constexpr int kCommandLine = 3;

Error bad(std::string message) { return make_error(Code::kBadRequest, std::move(message)); }

std::string variable_of(const std::string& flag) {
  std::string name = "KNARR_";
  for (char c : flag) name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return name;
}

std::vector<std::string> split_commas(const std::string& value) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= value.size()) {
    size_t comma = std::min(value.find(',', begin), value.size());
    if (comma > begin) parts.push_back(value.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

}  // namespace

FlagSet::FlagSet(std::string usage, std::string about)
    : usage_(std::move(usage)), about_(std::move(about)) {}

void FlagSet::add(Flag flag) { flags_.push_back(std::move(flag)); }

void FlagSet::text(std::string name, std::string& target, std::string value_name,
                   std::string help) {
  add({std::move(name), Type::kText, &target, std::move(value_name), std::move(help), {}});
}

void FlagSet::number(std::string name, int64_t& target, std::string value_name, std::string help) {
  add({std::move(name), Type::kNumber, &target, std::move(value_name), std::move(help), {}});
}

void FlagSet::boolean(std::string name, bool& target, std::string help) {
  add({std::move(name), Type::kBoolean, &target, "", std::move(help), {}});
}

void FlagSet::list(std::string name, std::vector<std::string>& target, std::string value_name,
                   std::string help) {
  add({std::move(name), Type::kList, &target, std::move(value_name), std::move(help), {}});
}

void FlagSet::joined(std::string name, std::string& target, std::string value_name,
                     std::string help) {
  add({std::move(name), Type::kJoined, &target, std::move(value_name), std::move(help), {}});
}

void FlagSet::alias(std::string alias, const std::string& name) {
  Flag* flag = find(name);
  CHECK(flag != nullptr);
  flag->aliases.push_back(std::move(alias));
}

FlagSet::Flag* FlagSet::find(const std::string& name) {
  for (Flag& flag : flags_) {
    if (flag.name == name) return &flag;
    for (const std::string& alias : flag.aliases) {
      if (alias == name) return &flag;
    }
  }
  return nullptr;
}

Result<void> FlagSet::assign(Flag& flag, const std::string& value, int source) {
  switch (flag.type) {
    case Type::kText: *static_cast<std::string*>(flag.target) = value; return {};
    case Type::kNumber: {
      int64_t number = 0;
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size()) {
        return bad(fmt::format("--{} wants a number, not \"{}\"", flag.name, value));
      }
      *static_cast<int64_t*>(flag.target) = number;
      return {};
    }
    case Type::kBoolean: {
      bool yes = value == "true" || value == "1";
      if (!yes && value != "false" && value != "0") {
        return bad(fmt::format("--{} wants true or false, not \"{}\"", flag.name, value));
      }
      *static_cast<bool*>(flag.target) = yes;
      return {};
    }
    case Type::kList: {
      auto& list = *static_cast<std::vector<std::string>*>(flag.target);
      if (flag.set_by != source) list.clear();
      for (std::string& part : split_commas(value)) list.push_back(std::move(part));
      flag.set_by = source;
      return {};
    }
    case Type::kJoined: {
      auto& text = *static_cast<std::string*>(flag.target);
      text = flag.set_by == source ? text + "," + value : value;
      flag.set_by = source;
      return {};
    }
  }
  return {};
}

Result<void> FlagSet::assign_json(Flag& flag, const json::Value& value, const std::string& file) {
  if (value.is_array() && (flag.type == Type::kList || flag.type == Type::kJoined)) {
    for (const json::Value& element : value.elements()) TRY(assign_json(flag, element, file));
    return {};
  }
  if (value.is_array() || value.is_object() || value.is_null()) {
    return bad(fmt::format("{}: \"{}\" has a value of the wrong kind", file, flag.name));
  }
  return assign(flag, value.is_string() ? value.text() : json::write(value), kConfigFile);
}

Result<void> FlagSet::read_config(const json::Value& config, const std::string& file) {
  if (config.is_null()) return {};
  if (!config.is_object()) return bad(file + ": want a map of flag names to values");
  for (auto [key, value] : config.members()) {
    Flag* flag = find(std::string(key));
    if (flag == nullptr) return bad(fmt::format("{}: there is no flag \"{}\"", file, key));
    TRY(assign_json(*flag, value, file));
  }
  return {};
}

Result<void> FlagSet::read_environment(const std::function<const char*(const char*)>& get) {
  for (Flag& flag : flags_) {
    std::vector<std::string> names = flag.aliases;
    names.push_back(flag.name);  // the flag's own name is the strongest
    for (const std::string& name : names) {
      const char* value = name.size() > 1 ? get(variable_of(name).c_str()) : nullptr;
      if (value != nullptr && *value != '\0') TRY(assign(flag, value, kEnvironment));
    }
  }
  return {};
}

Result<void> FlagSet::parse(const std::vector<std::string>& args,
                            std::vector<std::string>& positional) {
  for (size_t i = 0; i < args.size(); i++) {
    const std::string& arg = args[i];
    if (arg == "--") {
      positional.insert(positional.end(), args.begin() + static_cast<ptrdiff_t>(i) + 1, args.end());
      return {};
    }
    if (arg.size() < 2 || arg[0] != '-') {
      positional.push_back(arg);
      continue;
    }
    size_t equals = arg.find('=');
    size_t dashes = arg[1] == '-' ? 2 : 1;
    std::string name = arg.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
    if (name == "help" || name == "h") {
      help_wanted_ = true;
      continue;
    }
    Flag* flag = find(name);
    if (flag == nullptr) return bad("unknown flag: " + arg.substr(0, equals));
    if (equals != std::string::npos) {
      TRY(assign(*flag, arg.substr(equals + 1), kCommandLine));
    } else if (flag->type == Type::kBoolean) {
      TRY(assign(*flag, "true", kCommandLine));
    } else if (i + 1 < args.size()) {
      TRY(assign(*flag, args[++i], kCommandLine));
    } else {
      return bad("flag needs a value: " + arg);
    }
  }
  return {};
}

std::string FlagSet::help() const {
  std::string out = fmt::format("usage: {}\n\n{}\n", usage_, about_);
  if (!flags_.empty()) out += "\nflags:\n";
  for (const Flag& flag : flags_) {
    std::string left = "  ";
    for (const std::string& alias : flag.aliases) {
      left += (alias.size() == 1 ? "-" : "--") + alias + ", ";
    }
    left += "--" + flag.name;
    if (!flag.value_name.empty()) left += " " + flag.value_name;
    std::string value;
    if (flag.type == Type::kText || flag.type == Type::kJoined)
      value = *static_cast<std::string*>(flag.target);
    if (flag.type == Type::kNumber) value = std::to_string(*static_cast<int64_t*>(flag.target));
    out += fmt::format("{:<36} {}", left, flag.help);
    if (!value.empty()) out += fmt::format(" (default {})", value);
    out += '\n';
  }
  return out;
}

std::optional<int> FlagSet::settled(const Result<void>& read) const {
  if (help_wanted_) {
    std::fputs(help().c_str(), stdout);
    return 0;
  }
  if (read.ok()) return std::nullopt;
  fail(read.error().message);
  return 2;
}

}  // namespace knarr::cli
