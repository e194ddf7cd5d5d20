#include "api/names.h"

#include <algorithm>

#include "base/format.h"

namespace knarr::api {
namespace {

constexpr std::string_view kLabelRegex = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kSubdomainRegex =
    "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
constexpr std::string_view kQualifiedRegex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
constexpr std::string_view kLabelMessage =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character";
constexpr std::string_view kSubdomainMessage =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character";
constexpr std::string_view kQualifiedMessage =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character";

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_upper(c) || is_digit(c); }

template <typename End, typename Inner>
bool is_word(std::string_view value, End end, Inner inner) {
  return !value.empty() && end(value.front()) && end(value.back()) &&
         std::all_of(value.begin(), value.end(), inner);
}

bool matches_label(std::string_view value) {
  return is_word(
      value, [](char c) { return is_lower(c) || is_digit(c); },
      [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
}

bool matches_qualified(std::string_view value) {
  return is_word(value, is_alnum,
                 [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

template <typename Part>
bool every_segment(std::string_view value, Part part) {
  for (;;) {
    size_t dot = value.find('.');
    if (!part(value.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    value.remove_prefix(dot + 1);
  }
}

std::string max_length(int n) { return fmt::format("must be no more than {} characters", n); }

std::string subdomain_problem() {
  return regex_problem(kSubdomainMessage, kSubdomainRegex, {"example.com"});
}

}  // namespace

std::string regex_problem(std::string_view what, std::string_view regex,
                          std::initializer_list<std::string_view> examples) {
  std::string out(what);
  if (examples.size() == 0) return out + fmt::format(" (regex used for validation is '{}')", regex);
  out += " (e.g. ";
  bool first = true;
  for (std::string_view example : examples) {
    if (!first) out += " or ";
    out += fmt::format("'{}', ", example);
    first = false;
  }
  return out + fmt::format("regex used for validation is '{}')", regex);
}

bool is_dns1123_label(std::string_view value) { return value.size() <= 63 && matches_label(value); }

bool is_dns1123_subdomain(std::string_view value) {
  return value.size() <= 253 && every_segment(value, matches_label);
}

bool is_qualified_name(std::string_view value) { return check_qualified_name(value).empty(); }

Problems check_dns1123_label(std::string_view value) {
  Problems out;
  if (value.size() > 63) out.push_back(max_length(63));
  if (matches_label(value)) return out;
  if (every_segment(value, matches_label)) {
    out.push_back("must not contain dots");
  } else {
    out.push_back(regex_problem(kLabelMessage, kLabelRegex, {"my-name", "123-abc"}));
  }
  return out;
}

Problems check_dns1123_subdomain(std::string_view value) {
  Problems out;
  if (value.size() > 253) out.push_back(max_length(253));
  if (!every_segment(value, matches_label)) out.push_back(subdomain_problem());
  return out;
}

Problems check_dns1123_subdomain_with_underscore(std::string_view value) {
  Problems out;
  if (value.size() > 253) out.push_back(max_length(253));
  auto part = [](std::string_view segment) {
    return is_word(
        segment, [](char c) { return is_lower(c) || is_digit(c) || c == '_'; },
        [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '_'; });
  };
  if (!every_segment(value, part)) {
    out.push_back(regex_problem(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', "
        "'.' or '_', and must start and end with an alphanumeric character or '_'",
        "[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*", {"example.com"}));
  }
  return out;
}

Problems check_dns1035_label(std::string_view value) {
  Problems out;
  if (value.size() > 63) out.push_back(max_length(63));
  if (!matches_label(value) || !is_lower(value.front())) {
    out.push_back(regex_problem(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
        "an alphabetic character, and end with an alphanumeric character",
        "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"}));
  }
  return out;
}

Problems check_wildcard_dns1123_subdomain(std::string_view value) {
  Problems out;
  if (value.size() > 253) out.push_back(max_length(253));
  if (value.substr(0, 2) != "*." || !every_segment(value.substr(2), matches_label)) {
    out.push_back(regex_problem(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
        "which must consist of lower case alphanumeric characters, '-' or '.' and end with an "
        "alphanumeric character",
        "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        {"*.example.com"}));
  }
  return out;
}

Problems check_qualified_name(std::string_view value) {
  Problems out;
  std::string_view name = value;
  size_t slash = value.find('/');
  if (slash != std::string_view::npos) {
    if (value.find('/', slash + 1) != std::string_view::npos) {
      return {"a valid label key " +
              regex_problem(kQualifiedMessage, kQualifiedRegex, {"MyName", "my.name", "123-abc"}) +
              " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"};
    }
    std::string_view prefix = value.substr(0, slash);
    name = value.substr(slash + 1);
    if (prefix.empty()) {
      out.push_back("prefix part must be non-empty");
    } else {
      for (const std::string& problem : check_dns1123_subdomain(prefix)) {
        out.push_back("prefix part " + problem);
      }
    }
  }
  if (name.empty()) {
    out.push_back("name part must be non-empty");
  } else if (name.size() > 63) {
    out.push_back("name part " + max_length(63));
  }
  if (!matches_qualified(name)) {
    out.push_back("name part " + regex_problem(kQualifiedMessage, kQualifiedRegex,
                                               {"MyName", "my.name", "123-abc"}));
  }
  return out;
}

Problems check_label_key(std::string_view value) { return check_qualified_name(value); }

Problems check_label_value(std::string_view value) {
  Problems out;
  if (value.size() > 63) out.push_back("must be no more than 63 bytes");
  if (!value.empty() && !matches_qualified(value)) {
    out.push_back(regex_problem(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
        "'.', and must start and end with an alphanumeric character",
        "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", {"MyValue", "my_value", "12345"}));
  }
  return out;
}

Problems check_c_identifier(std::string_view value) {
  bool good =
      !value.empty() && !is_digit(value.front()) &&
      std::all_of(value.begin(), value.end(), [](char c) { return is_alnum(c) || c == '_'; });
  if (good) return {};
  return {regex_problem(
      "a valid C identifier must start with alphabetic character or '_', followed by a string of "
      "alphanumeric characters or '_'",
      "[A-Za-z_][A-Za-z0-9_]*", {"my_name", "MY_NAME", "MyName"})};
}

Problems check_port_number(int64_t port) {
  if (port >= 1 && port <= 65535) return {};
  return {"must be between 1 and 65535, inclusive"};
}

Problems check_port_name(std::string_view value) {
  Problems out;
  if (value.size() > 15) out.push_back(max_length(15));
  if (value.empty() || !std::all_of(value.begin(), value.end(), [](char c) {
        return is_lower(c) || is_digit(c) || c == '-';
      })) {
    out.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (std::none_of(value.begin(), value.end(), is_lower)) {
    out.push_back("must contain at least one letter (a-z)");
  }
  if (value.find("--") != std::string_view::npos) {
    out.push_back("must not contain consecutive hyphens");
  }
  if (!value.empty() && (value.front() == '-' || value.back() == '-')) {
    out.push_back("must not begin or end with a hyphen");
  }
  return out;
}

Problems check_env_var_name(std::string_view value) {
  bool good = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '=';
  });
  if (good) return {};
  return {
      "a valid environment variable name must consist only of printable ASCII characters other "
      "than '='"};
}

Problems check_config_map_key(std::string_view value) {
  Problems out;
  if (value.size() > 253) out.push_back(max_length(253));
  bool good = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return is_alnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!good) {
    out.push_back(
        regex_problem("a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                      "[-._a-zA-Z0-9]+", {"key.name", "KEY_NAME", "key-name"}));
  }
  if (value == ".") {
    out.push_back("must not be '.'");
  } else if (value == "..") {
    out.push_back("must not be '..'");
  } else if (value.substr(0, 2) == "..") {
    out.push_back("must not start with '..'");
  }
  return out;
}

Problems check_http_header_name(std::string_view value) {
  bool good = !value.empty() && std::all_of(value.begin(), value.end(),
                                            [](char c) { return is_alnum(c) || c == '-'; });
  if (good) return {};
  return {regex_problem("a valid HTTP header must consist of alphanumeric characters or '-'",
                        "[-A-Za-z0-9]+", {"X-Header-Name"})};
}

Problems check_percent(std::string_view value) {
  bool good = value.size() > 1 && value.back() == '%' &&
              std::all_of(value.begin(), value.end() - 1, is_digit);
  if (good) return {};
  return {regex_problem("a valid percent string must be a numeric string followed by an ending '%'",
                        "[0-9]+%", {"1%", "93%"})};
}

Problems check_path_segment(std::string_view value) {
  if (value == "." || value == "..") return {fmt::format("may not be '{}'", value)};
  Problems out;
  for (char c : {'/', '%'}) {
    if (value.find(c) != std::string_view::npos)
      out.push_back(fmt::format("may not contain '{}'", c));
  }
  return out;
}

}  // namespace knarr::api
