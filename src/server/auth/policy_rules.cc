#include "server/auth/policy_rules.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>

#include "api/validation/errors.h"
#include "base/format.h"

namespace knarr::server {
namespace {

using Words = std::vector<std::string>;

bool has(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool has_or_all(const Words& words, std::string_view word) {
  return has(words, "*") || has(words, word);
}

bool resource_matches(const Words& resources, const std::string& resource,
                      const std::string& subresource) {
  if (has(resources, "*")) return true;
  if (subresource.empty()) return has(resources, resource);
  return has(resources, resource + "/" + subresource) || has(resources, "*/" + subresource);
}

bool path_matches(const Words& paths, std::string_view path) {
  return std::any_of(paths.begin(), paths.end(), [path](std::string_view rule) {
    if (rule == "*" || rule == path) return true;
    if (!rule.ends_with('*')) return false;
    while (rule.ends_with('*')) rule.remove_suffix(1);
    return path.starts_with(rule);
  });
}

Words read_words(const json::Value& list) {
  Words out;
  for (const json::Value& word : list.elements()) out.push_back(word.text());
  return out;
}

// Whether one held rule allows all of a rule that has been taken apart.
bool covers(const PolicyRule& held, const PolicyRule& one) {
  if (!has_or_all(held.verbs, one.verbs[0])) return false;
  if (!one.paths.empty()) return path_matches(held.paths, one.paths[0]);
  const std::string& resource = one.resources[0];
  size_t slash = resource.find('/');
  bool resources =
      has_or_all(held.resources, resource) ||
      (slash != std::string::npos && has(held.resources, "*" + resource.substr(slash)));
  return resources && has_or_all(held.groups, one.groups[0]) &&
         (held.names.empty() || (!one.names.empty() && has(held.names, one.names[0])));
}

void take_apart(const PolicyRule& rule, const std::function<void(PolicyRule)>& fn) {
  for (const std::string& group : rule.groups) {
    for (const std::string& resource : rule.resources) {
      for (const std::string& verb : rule.verbs) {
        if (rule.names.empty()) fn({{verb}, {group}, {resource}, {}, {}});
        for (const std::string& name : rule.names) fn({{verb}, {group}, {resource}, {name}, {}});
      }
    }
  }
  for (const std::string& path : rule.paths) {
    for (const std::string& verb : rule.verbs) fn({{verb}, {}, {}, {}, {path}});
  }
}

// Rules of resources that differ in their verbs only become one.
std::vector<PolicyRule> joined(const std::vector<PolicyRule>& rules) {
  std::vector<PolicyRule> out;
  for (const PolicyRule& rule : rules) {
    auto same = std::find_if(out.begin(), out.end(), [&rule](const PolicyRule& other) {
      return rule.paths.empty() && other.paths.empty() && other.groups == rule.groups &&
             other.resources == rule.resources && other.names == rule.names;
    });
    if (same == out.end()) {
      out.push_back(rule);
    } else {
      same->verbs.insert(same->verbs.end(), rule.verbs.begin(), rule.verbs.end());
    }
  }
  return out;
}

std::string quoted(const Words& words) {
  std::string out = "[";
  for (const std::string& word : words) {
    if (out.size() > 1) out += ' ';
    out += api::go_quote(word);
  }
  return out + "]";
}

std::string told(const PolicyRule& rule) {
  std::string out = "{";
  auto part = [&out](const char* name, const Words& words) {
    if (words.empty()) return;
    if (out.size() > 1) out += ", ";
    out += std::string(name) + ":" + quoted(words);
  };
  part("APIGroups", rule.groups);
  part("Resources", rule.resources);
  part("NonResourceURLs", rule.paths);
  part("ResourceNames", rule.names);
  part("Verbs", rule.verbs);
  return out + "}";
}

}  // namespace

std::vector<PolicyRule> read_rules(const json::Value& rules) {
  std::vector<PolicyRule> out;
  for (const json::Value& rule : rules.elements()) {
    out.push_back({read_words(rule["verbs"]), read_words(rule["apiGroups"]),
                   read_words(rule["resources"]), read_words(rule["resourceNames"]),
                   read_words(rule["nonResourceURLs"])});
  }
  return out;
}

json::Value rules_json(const std::vector<PolicyRule>& rules) {
  json::Value out = json::Value::array();
  for (const PolicyRule& rule : rules) {
    json::Value& v = out.push_back(json::Value::object());
    auto part = [&v](const char* name, const Words& words) {
      for (const std::string& word : words) v.member(name).push_back(word);
    };
    part("verbs", rule.verbs);
    part("apiGroups", rule.groups);
    part("resources", rule.resources);
    part("resourceNames", rule.names);
    part("nonResourceURLs", rule.paths);
  }
  return out;
}

bool rule_allows(const PolicyRule& rule, const Attributes& a) {
  if (!has_or_all(rule.verbs, a.verb)) return false;
  if (!a.resource_request) return path_matches(rule.paths, a.path);
  return has_or_all(rule.groups, a.group) &&
         resource_matches(rule.resources, a.resource, a.subresource) &&
         (rule.names.empty() || has(rule.names, a.name));
}

std::vector<PolicyRule> uncovered(const std::vector<PolicyRule>& held,
                                  const std::vector<PolicyRule>& wanted) {
  std::vector<PolicyRule> out;
  for (const PolicyRule& rule : wanted) {
    take_apart(rule, [&](PolicyRule one) {
      bool covered = std::any_of(held.begin(), held.end(),
                                 [&one](const PolicyRule& h) { return covers(h, one); });
      if (!covered) out.push_back(std::move(one));
    });
  }
  return out;
}

std::string escalation(const UserInfo& user, const AccessRules& held,
                       const std::vector<PolicyRule>& wanted) {
  std::vector<PolicyRule> missing = uncovered(held.rules, wanted);
  if (missing.empty()) return "";
  std::set<std::string> lines;
  for (const PolicyRule& rule : joined(missing)) lines.insert(told(rule));
  std::string out =
      fmt::format("user {} (groups={}) is attempting to grant RBAC permissions not currently held:",
                  api::go_quote(user.name), quoted(user.groups));
  for (const std::string& line : lines) out += "\n" + line;
  if (!held.error.empty()) out += fmt::format("; resolution errors: [{}]", held.error);
  return out;
}

}  // namespace knarr::server
