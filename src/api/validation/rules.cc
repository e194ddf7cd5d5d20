#include "api/validation/rules.h"

#include <algorithm>

#include "api/ip.h"
#include "base/format.h"

namespace knarr::api::rules {

void metadata_again(const Value& object, bool namespaced, ErrorList& errors) {
  Path path("metadata");
  const Value& meta = object["metadata"];
  validate_metadata(meta, namespaced, name_is_dns_subdomain, {}, path, errors);
  validate_kube_finalizers(meta["finalizers"], path / "finalizers", errors);
}

void not_negative(const Value& number, const Path& path, ErrorList& errors) {
  if (number.as_int() < 0) errors.invalid(path, number, kNotNegative);
}

bool same(const Value& a, const Value& b) {
  auto blank = [](const Value& v) {
    return v.is_null() || (v.is_string() && v.as_string().empty()) ||
           ((v.is_object() || v.is_array()) && v.empty());
  };
  return a == b || (blank(a) && blank(b));
}

void immutable(const Value& now, const Value& old, const Path& path, ErrorList& errors,
               std::string_view detail) {
  if (!same(now, old)) errors.invalid(path, now, detail);
}

bool contains(std::initializer_list<std::string_view> list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

void one_of(const Value& value, std::initializer_list<std::string_view> allowed, const Path& path,
            ErrorList& errors) {
  if (value.as_string().empty()) {
    errors.required(path);
  } else if (!contains(allowed, value.as_string())) {
    errors.not_supported(path, value, allowed);
  }
}

void maybe_one_of(const Value& value, std::initializer_list<std::string_view> allowed,
                  const Path& path, ErrorList& errors) {
  if (value.is_string() && !contains(allowed, value.as_string())) {
    errors.not_supported(path, value, allowed);
  }
}

std::string joined(const Problems& problems, std::string_view separator) {
  std::string out;
  for (const std::string& problem : problems) {
    if (!out.empty()) out += separator;
    out += problem;
  }
  return out;
}

void dns_label(const Value& value, const Path& path, ErrorList& errors) {
  errors.invalid_all(path, value.as_string(), check_dns1123_label(value.as_string()));
}

void dns_subdomain(const Value& value, const Path& path, ErrorList& errors) {
  errors.invalid_all(path, value.as_string(), check_dns1123_subdomain(value.as_string()));
}

void qualified_name(const Value& value, const Path& path, ErrorList& errors) {
  errors.invalid_all(path, value.as_string(), check_qualified_name(value.as_string()));
}

namespace {

// "010.0.0.1" -> "10.0.0.1", for telling that mistake from others.
std::string without_leading_zeros(std::string_view text) {
  std::string out;
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 0; i < text.size(); i++) {
    bool begins =
        i == 0 || !digit(text[i - 1]) || (!out.empty() && !digit(out.back())) || out.empty();
    bool more = i + 1 < text.size() && digit(text[i + 1]);
    if (text[i] == '0' && begins && more) continue;
    out += text[i];
  }
  return out;
}

}  // namespace

void ip_address(const Value& value, const Path& path, ErrorList& errors) {
  if (IpAddress::parse(value.as_string())) return;
  bool zeros = IpAddress::parse(without_leading_zeros(value.as_string())).has_value();
  errors.invalid(path, value.as_string(), zeros ? "must not have leading 0s" : kBadIp);
}

void cidr(const Value& value, const Path& path, ErrorList& errors) {
  if (Cidr::parse(value.as_string())) return;
  bool zeros = Cidr::parse(without_leading_zeros(value.as_string())).has_value();
  errors.invalid(path, value.as_string(),
                 zeros ? "must not have leading 0s in IP or prefix length" : kBadCidr);
}

void non_special_ip(std::string_view text, const Path& path, ErrorList& errors) {
  auto ip = IpAddress::parse(text);
  if (!ip) {
    errors.invalid(path, text, "must be a valid IP address");
    return;
  }
  if (ip->is_unspecified()) {
    errors.invalid(path, text, fmt::format("may not be unspecified ({})", text));
  }
  if (ip->is_loopback()) {
    errors.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  }
  if (ip->is_link_local_unicast()) {
    errors.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  }
  if (ip->is_link_local_multicast()) {
    errors.invalid(path, text,
                   "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  }
}

void fully_qualified_name(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view name = value.as_string();
  if (name.empty()) {
    errors.required(path);
    return;
  }
  if (Problems problems = check_dns1123_subdomain(name); !problems.empty()) {
    errors.invalid(path, name, joined(problems, ","));
    return;
  }
  if (std::count(name.begin(), name.end(), '.') < 2) {
    errors.invalid(path, name, "should be a domain with at least three segments separated by dots");
  }
}

void domain_prefixed_path(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view text = value.as_string();
  if (text.empty()) {
    errors.required(path);
    return;
  }
  size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) {
    errors.invalid(path, text, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    return;
  }
  std::string_view host = text.substr(0, slash);
  std::string_view rest = text.substr(slash + 1);
  errors.invalid_all(path, host, check_dns1123_subdomain(host));
  auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/-._~%!$&'()*+,;=:").find(c) != std::string_view::npos;
  };
  if (!std::all_of(rest.begin(), rest.end(), good)) {
    errors.invalid(path, rest,
                   regex_problem("Invalid path", "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+", {}));
  }
}

void port_number_or_name(const Value& value, const Path& path, ErrorList& errors) {
  if (value.is_string()) {
    errors.invalid_all(path, value, check_port_name(value.as_string()));
  } else {
    errors.invalid_all(path, value.as_int(), check_port_number(value.as_int()));
  }
}

void label_selector(const Value& selector, const Path& path, ErrorList& errors) {
  if (selector.is_null()) return;
  validate_labels(selector["matchLabels"], path / "matchLabels", errors);
  size_t i = 0;
  for (const Value& expression : selector["matchExpressions"].elements()) {
    Path at = (path / "matchExpressions")[i++];
    std::string_view op = expression["operator"].as_string();
    if (op == "In" || op == "NotIn") {
      if (expression["values"].empty()) {
        errors.required(at / "values", "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!expression["values"].empty()) {
        errors.forbidden(at / "values",
                         "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else {
      errors.invalid(at / "operator", op, "not a valid selector operator");
    }
    qualified_name(expression["key"], at / "key", errors);
    size_t j = 0;
    for (const Value& value : expression["values"].elements()) {
      errors.invalid_all((at / "values")[j++], value, check_label_value(value.as_string()));
    }
  }
}

bool selector_is_empty(const Value& selector) {
  return selector["matchLabels"].empty() && selector["matchExpressions"].empty();
}

int64_t percent_of(const Value& value) {
  if (!value.is_string() || !check_percent(value.as_string()).empty()) return -1;
  int64_t out = 0;
  for (char c : value.as_string().substr(0, value.as_string().size() - 1)) {
    out = out * 10 + (c - '0');
    if (out > 1'000'000) break;
  }
  return out;
}

void not_above_all(const Value& value, const Path& path, ErrorList& errors) {
  if (percent_of(value) > 100) errors.invalid(path, value, "must not be greater than 100%");
}

void int_or_percent(const Value& value, const Path& path, ErrorList& errors) {
  if (value.is_null()) return;
  if (value.is_string()) {
    errors.invalid_all(path, value, check_percent(value.as_string()));
  } else if (value.as_int() < 0) {
    errors.invalid(path, value, kNotNegative);
  }
}

void quantity_not_negative(const Value& value, const Path& path, ErrorList& errors) {
  if (quantity_or_zero(value.as_string()).sign() < 0) errors.invalid(path, value, kNotNegative);
}

void resource_quantity(std::string_view name, const Value& value, const Path& path,
                       ErrorList& errors) {
  quantity_not_negative(value, path, errors);
  if (is_integer_resource(name) && !quantity_or_zero(value.as_string()).is_integer()) {
    errors.invalid(path, value, "must be an integer");
  }
}

}  // namespace knarr::api::rules
