#include "cli/kubectl/flags.h"

#include <charconv>
#include <functional>

#include "api/duration.h"
#include "base/format.h"
#include "cli/kubectl/bad.h"

namespace knarr::kubectl {

namespace {

using Tables = std::span<const std::span<const FlagSpec>>;

const FlagSpec* by_name(Tables tables, std::string_view name) {
  for (size_t i = tables.size(); i-- > 0;) {
    for (const FlagSpec& flag : tables[i]) {
      if (flag.name == name) return &flag;
    }
  }
  return nullptr;
}

const FlagSpec* by_letter(Tables tables, char letter) {
  for (size_t i = tables.size(); i-- > 0;) {
    for (const FlagSpec& flag : tables[i]) {
      if (flag.letter == letter) return &flag;
    }
  }
  return nullptr;
}

// One "-abc" bundle; `i` moves on when a value is taken from the next argument.
Result<void> read_letters(Tables tables, const std::vector<std::string>& args, size_t& i,
                          const std::function<void(const FlagSpec&, std::string)>& give) {
  const std::string& arg = args[i];
  for (size_t at = 1; at < arg.size(); at++) {
    const FlagSpec* flag = by_letter(tables, arg[at]);
    if (flag == nullptr) {
      return bad(fmt::format("unknown shorthand flag: '{}' in {}", arg[at], arg));
    }
    std::string rest = arg.substr(at + 1);
    if (rest.starts_with('=')) {
      give(*flag, rest.substr(1));
      return {};
    }
    if (flag->bare != nullptr) {
      give(*flag, flag->bare);
      continue;
    }
    if (!rest.empty()) {
      give(*flag, rest);
    } else if (i + 1 < args.size()) {
      give(*flag, args[++i]);
    } else {
      return bad(fmt::format("flag needs an argument: '{}' in {}", arg[at], arg));
    }
    return {};
  }
  return {};
}

Result<void> read_long(Tables tables, const std::vector<std::string>& args, size_t& i,
                       const std::function<void(const FlagSpec&, std::string)>& give) {
  const std::string& arg = args[i];
  size_t equals = arg.find('=');
  std::string name = arg.substr(2, equals == std::string::npos ? equals : equals - 2);
  const FlagSpec* flag = by_name(tables, name);
  if (flag == nullptr) return bad("unknown flag: --" + name);
  if (equals != std::string::npos) {
    give(*flag, arg.substr(equals + 1));
  } else if (flag->bare != nullptr) {
    give(*flag, flag->bare);
  } else if (i + 1 < args.size()) {
    give(*flag, args[++i]);
  } else {
    return bad("flag needs an argument: --" + name);
  }
  return {};
}

}  // namespace

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

Result<Flags> Flags::parse(Tables tables, const std::vector<std::string>& args) {
  Flags flags;
  std::string wrong;
  auto give = [&](const FlagSpec& flag, std::string value) {
    if (flag.kind == FlagSpec::Kind::kBool && value != "true" && value != "false") {
      wrong = fmt::format(
          "invalid argument \"{}\" for \"--{}\" flag: strconv.ParseBool: parsing "
          "\"{}\": invalid syntax",
          value, flag.name, value);
    }
    auto& values = flags.values_[flag.name];
    if (flag.kind != FlagSpec::Kind::kList) {
      values = {std::move(value)};
    } else {
      for (std::string& part : split(value, ',')) values.push_back(std::move(part));
    }
  };
  for (size_t i = 0; i < args.size(); i++) {
    const std::string& arg = args[i];
    if (arg == "--") {
      flags.dash_at = static_cast<int>(flags.words.size());
      flags.words.insert(flags.words.end(), args.begin() + static_cast<ptrdiff_t>(i) + 1,
                         args.end());
      break;
    }
    if (arg.size() < 2 || arg[0] != '-') {
      flags.words.push_back(arg);
    } else if (arg[1] == '-') {
      TRY(read_long(tables, args, i, give));
    } else {
      TRY(read_letters(tables, args, i, give));
    }
    if (!wrong.empty()) return bad(wrong);
  }
  return flags;
}

bool Flags::yes(std::string_view name, bool fallback) const {
  auto it = values_.find(name);
  return it == values_.end() ? fallback : it->second.back() == "true";
}

std::string Flags::text(std::string_view name, std::string_view fallback) const {
  auto it = values_.find(name);
  return it == values_.end() ? std::string(fallback) : it->second.back();
}

std::vector<std::string> Flags::all(std::string_view name) const {
  auto it = values_.find(name);
  return it == values_.end() ? std::vector<std::string>() : it->second;
}

Result<int64_t> Flags::number(std::string_view name, int64_t fallback) const {
  if (!has(name)) return fallback;
  std::string value = text(name);
  int64_t number = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) {
    return bad(
        fmt::format("invalid argument \"{}\" for \"--{}\" flag: strconv.ParseInt: parsing "
                    "\"{}\": invalid syntax",
                    value, name, value));
  }
  return number;
}

Result<int64_t> Flags::duration(std::string_view name, int64_t fallback_ns) const {
  if (!has(name)) return fallback_ns;
  std::string value = text(name);
  if (!value.empty() && value.find_first_not_of("0123456789") == std::string::npos) {
    TRY_ASSIGN(int64_t seconds, number(name, 0));
    return seconds * 1000000000;
  }
  return api::parse_duration(value);
}

size_t first_word(std::span<const FlagSpec> table, const std::vector<std::string>& args) {
  std::span<const FlagSpec> tables[] = {table};
  for (size_t i = 0; i < args.size(); i++) {
    const std::string& arg = args[i];
    if (arg.size() < 2 || arg[0] != '-') return i;
    if (arg == "--") return args.size();
    if (arg.find('=') != std::string::npos) continue;
    const FlagSpec* flag = arg[1] == '-'     ? by_name(tables, std::string_view(arg).substr(2))
                           : arg.size() == 2 ? by_letter(tables, arg[1])
                                             : nullptr;
    if (flag != nullptr && flag->bare == nullptr) i++;
  }
  return args.size();
}

std::string flags_help(std::span<const FlagSpec> table) {
  std::string out;
  for (const FlagSpec& flag : table) {
    std::string left = flag.letter != 0 ? fmt::format("  -{}, --{}", flag.letter, flag.name)
                                        : fmt::format("      --{}", flag.name);
    out += fmt::format("{:<32} {}\n", left, flag.help);
  }
  return out;
}

}  // namespace knarr::kubectl
