// What is odd about a pod or a pod's template.
#include <map>
#include <set>

#include "api/quantity.h"
#include "api/validation/app_armor.h"
#include "api/validation/warning_rules.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

using json::Value;

constexpr const char* kContainerLists[] = {"initContainers", "containers", "ephemeralContainers"};
constexpr std::string_view kNullSelector = "a null labelSelector results in matching no pod";

template <typename Each>
void each_container(const Value& spec, const Path& path, Each each) {
  for (const char* list : kContainerLists) {
    size_t i = 0;
    for (const Value& c : spec[list].elements()) each(c, (path / list)[i++]);
  }
}

void scheduling(const Value& spec, const Path& path, Warnings& warnings) {
  for (const auto& [key, value] : spec["nodeSelector"].members()) {
    std::string_view instead = deprecated_node_label(key);
    if (!instead.empty()) warn((path / "nodeSelector").key(key), instead, warnings);
  }
  constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  constexpr std::string_view kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  const Value& affinity = spec["affinity"];
  Path at = path / "affinity" / "nodeAffinity";
  const Value& node = affinity["nodeAffinity"];
  size_t i = 0;
  for (const Value& term : node[kRequired]["nodeSelectorTerms"].elements()) {
    node_term_warnings(term, false, (at / kRequired / "nodeSelectorTerms")[i++], warnings);
  }
  i = 0;
  for (const Value& term : node[kPreferred].elements()) {
    node_term_warnings(term["preference"], true, (at / kPreferred)[i++] / "preference", warnings);
  }
  i = 0;
  for (const Value& t : spec["topologySpreadConstraints"].elements()) {
    Path here = (path / "topologySpreadConstraints")[i++];
    std::string_view key = t["topologyKey"].as_string();
    std::string_view instead = deprecated_node_label(key);
    if (!instead.empty())
      warn(here / "topologyKey", fmt::format("{} is {}", key, instead), warnings);
    if (t["labelSelector"].is_null()) warn(here / "labelSelector", kNullSelector, warnings);
  }
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    Path in = path / "affinity" / kind;
    i = 0;
    for (const Value& term : affinity[kind][kRequired].elements()) {
      Path here = (in / kRequired)[i++] / "labelSelector";
      if (term["labelSelector"].is_null()) warn(here, kNullSelector, warnings);
    }
    i = 0;
    for (const Value& term : affinity[kind][kPreferred].elements()) {
      Path here = (in / kPreferred)[i++] / "podAffinityTerm" / "labelSelector";
      if (term["podAffinityTerm"]["labelSelector"].is_null()) warn(here, kNullSelector, warnings);
    }
  }
}

void annotations(const Value& pod, const Path& path, bool in_template, Warnings& warnings) {
  constexpr std::string_view kUseSeccomp =
      "non-functional in v1.27+; use the \"seccompProfile\" field instead";
  constexpr std::pair<std::string_view, std::string_view> kOld[] = {
      {"scheduler.alpha.kubernetes.io/critical-pod",
       "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
      {"security.alpha.kubernetes.io/sysctls",
       "non-functional in v1.11+; use the \"sysctls\" field instead"},
      {"security.alpha.kubernetes.io/unsafe-sysctls",
       "non-functional in v1.11+; use the \"sysctls\" field instead"},
  };
  const Value& have = pod["metadata"]["annotations"];
  if (have.empty()) return;
  const Value& spec = pod["spec"];
  Path at = path / "metadata" / "annotations";
  auto check = [&](std::string_view key, std::string_view sentence) {
    if (have.has(key)) warn(at.key(key), sentence, warnings);
  };
  for (const auto& [key, sentence] : kOld) check(key, sentence);
  if (spec["securityContext"]["seccompProfile"].is_null()) {
    check("seccomp.security.alpha.kubernetes.io/pod", kUseSeccomp);
  }
  each_container(spec, path / "spec", [&](const Value& c, const Path&) {
    if (c["securityContext"]["seccompProfile"].is_null()) {
      check(fmt::format("container.seccomp.security.alpha.kubernetes.io/{}", c["name"].as_string()),
            kUseSeccomp);
    }
    // Pods' are turned into fields when they are made.
    if (!in_template || !c["securityContext"]["appArmorProfile"].is_null()) return;
    std::string key = app_armor_annotation(c["name"].as_string());
    const Value* annotation = have.find(key);
    if (annotation == nullptr) return;
    const Value& whole = spec["securityContext"]["appArmorProfile"];
    if (whole.is_null() || whole != app_armor_profile(annotation->as_string())) {
      check(key, kUseAppArmorField);
    }
  });
}

void volumes(const Value& spec, const Path& path, Warnings& warnings) {
  constexpr std::pair<const char*, const char*> kGone[] = {
      {"photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
      {"gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
      {"scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
      {"flocker", "deprecated in v1.22, non-functional in v1.25+"},
      {"storageos", "deprecated in v1.22, non-functional in v1.25+"},
      {"quobyte", "deprecated in v1.22, non-functional in v1.25+"},
      {"glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
      {"cephfs", "deprecated in v1.28, non-functional in v1.31+"},
      {"rbd", "deprecated in v1.28, non-functional in v1.31+"},
  };
  size_t i = 0;
  for (const Value& v : spec["volumes"].elements()) {
    Path at = (path / "volumes")[i++];
    for (const auto& [source, sentence] : kGone) {
      if (v[source].is_null()) continue;
      bool storage_os = std::string_view(source) == "storageos";
      warn(at / (storage_os ? "storageOS" : source), sentence, warnings);
    }
    const Value& claim = v["ephemeral"]["volumeClaimTemplate"];
    if (!claim.is_null()) {
      claim_spec_warnings(claim["spec"], at / "ephemeral" / "volumeClaimTemplate" / "spec",
                          warnings);
    }
  }
  volume_path_warnings(spec["volumes"], warnings);
}

void duplicates(const Value& list, const char* member, const char* what, const Path& path,
                Warnings& warnings) {
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& item : list.elements()) {
    Path at = path[i++] / member;
    std::string_view text = item[member].as_string();
    if (seen.insert(text).second) continue;
    warn(at, fmt::format("duplicate {} {}", what, go_quote(text)), warnings);
  }
}

void whole_bytes(const Value& amounts, const Path& path, Warnings& warnings) {
  for (const char* name : {"memory", "ephemeral-storage"}) {
    const Value& amount = amounts[name];
    if (amount.is_null()) continue;
    Result<Quantity> quantity = Quantity::parse(amount.text());
    if (!quantity.ok() || quantity->milli_value() % 1000 == 0) continue;
    warn(path.key(name),
         fmt::format("fractional byte value {} is invalid, must be an integer",
                     go_quote(quantity->text())),
         warnings);
  }
}

void environment(const Value& env, const Path& path, Warnings& warnings) {
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& item : env.elements()) {
    Path at = path[i++];
    std::string_view name = item["name"].as_string();
    if (seen.insert(name).second) continue;
    std::string_view value = item["value"].as_string();
    std::string reference = fmt::format("$({})", name);
    bool uses_it = item["valueFrom"].is_null() && value != reference &&
                   value.find(reference) != std::string_view::npos;
    if (uses_it) continue;
    warn(at,
         fmt::format("hides previous definition of {}, which may be dropped when using apply",
                     go_quote(name)),
         warnings);
  }
}

struct Port {
  Path path;
  std::string host_ip;
  int64_t host_port;
};

void compare_ports(const Port& port, const Port& other, Warnings& warnings) {
  const char* problem = nullptr;
  if (port.host_ip == other.host_ip && port.host_port == other.host_port) {
    problem = "duplicate";
  } else if (port.host_port == 0 || other.host_port == 0) {
    problem = "overlapping";
  } else if (port.host_port == other.host_port && port.host_ip.empty() != other.host_ip.empty()) {
    problem = "dangerously ambiguous";
  }
  if (problem == nullptr) return;
  warn(port.path, fmt::format("{} port definition with {}", problem, other.path.text()), warnings);
}

void ports(const Value& spec, const Path& path, Warnings& warnings) {
  std::map<std::string, std::vector<Port>> seen;
  std::map<std::string, Path> names;
  each_container(spec, path, [&](const Value& c, const Path& at) {
    size_t i = 0;
    for (const Value& p : c["ports"].elements()) {
      Port port{(at / "ports")[i++], p["hostIP"].text(), p["hostPort"].as_int()};
      std::string number =
          fmt::format("{}/{}", p["containerPort"].as_int(), p["protocol"].as_string());
      if (!port.host_ip.empty() && port.host_port == 0) {
        warn(port.path,
             fmt::format("hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} "
                         "Protocol:{} HostIP:{}}}",
                         p["name"].as_string(), p["containerPort"].as_int(),
                         p["protocol"].as_string(), port.host_ip),
             warnings);
      }
      std::vector<Port>& others = seen[number];
      for (const Port& other : others) compare_ports(port, other, warnings);
      others.push_back(port);
    }
  });
  each_container(spec, path, [&](const Value& c, const Path& at) {
    size_t i = 0;
    for (const Value& p : c["ports"].elements()) {
      Path here = (at / "ports")[i++];
      std::string name = p["name"].text();
      if (name.empty()) continue;
      auto [it, fresh] = names.emplace(name, here);
      if (fresh) continue;
      warn(here,
           fmt::format("duplicate port name {} with {}, services and probes that select ports by "
                       "name will use {}",
                       go_quote(name), it->second.text(), it->second.text()),
           warnings);
    }
  });
}

}  // namespace

void pod_warnings(const Value& pod, const Path& path, bool in_template, Warnings& warnings) {
  const Value& spec = pod["spec"];
  Path at = path / "spec";
  scheduling(spec, at, warnings);
  annotations(pod, path, in_template, warnings);
  volumes(spec, at, warnings);
  duplicates(spec["hostAliases"], "ip", "ip", at / "hostAliases", warnings);
  const Value& secrets = spec["imagePullSecrets"];
  duplicates(secrets, "name", "name", at / "imagePullSecrets", warnings);
  size_t i = 0;
  for (const Value& secret : secrets.elements()) {
    Path here = (at / "imagePullSecrets")[i++] / "name";
    if (secret["name"].as_string().empty()) warn(here, "invalid empty name \"\"", warnings);
  }
  whole_bytes(spec["overhead"], at / "overhead", warnings);
  each_container(spec, at, [&](const Value& c, const Path& here) {
    for (const char* list : {"limits", "requests"}) {
      whole_bytes(c["resources"][list], here / "resources" / list, warnings);
    }
    environment(c["env"], here / "env", warnings);
  });
  ports(spec, at, warnings);
  if (spec["terminationGracePeriodSeconds"].as_int() < 0) {
    warn(at / "terminationGracePeriodSeconds",
         "must be >= 0; negative values are invalid and will be treated as 1", warnings);
  }
  i = 0;
  for (const Value& server : spec["dnsConfig"]["nameservers"].elements()) {
    ip_warnings(server.as_string(), (at / "dnsConfig" / "nameservers")[i++], warnings);
  }
  i = 0;
  for (const Value& alias : spec["hostAliases"].elements()) {
    ip_warnings(alias["ip"].as_string(), (at / "hostAliases")[i++] / "ip", warnings);
  }
}

}  // namespace knarr::api::rules
