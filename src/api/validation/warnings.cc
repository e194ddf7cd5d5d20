#include "api/validation/warnings.h"

#include "api/names.h"
#include "api/quantity.h"
#include "api/validation/warning_rules.h"
#include "base/base64.h"
#include "base/format.h"

namespace knarr::api {
namespace rules {
namespace {

using json::Value;

struct Change {
  const Value& now;
  const Value& old;  // null for new objects

  bool is_create() const { return old.is_null(); }
  bool new_generation() const {
    return is_create() || now["metadata"]["generation"] != old["metadata"]["generation"];
  }
};

using Warn = void (*)(const Change& change, Warnings& warnings);

struct WarningRule {
  std::string_view group;
  std::string_view kind;
  Warn of;
};

// --- Workloads ---

void name_warning(const Change& change, std::string_view use, Warnings& warnings) {
  if (!change.is_create()) return;
  Problems problems = check_dns1123_label(change.now["metadata"]["name"].as_string());
  if (problems.empty()) return;
  warn(Path("metadata") / "name",
       fmt::format("this is used in {}, which can result in surprising behavior; a DNS label is "
                   "recommended: {}",
                   use, go_list(problems)),
       warnings);
}

void template_warnings(const Change& change, Warnings& warnings) {
  if (!change.new_generation()) return;
  pod_warnings(change.now["spec"]["template"], Path("spec") / "template", true, warnings);
}

constexpr std::string_view kPodNames = "Pod names and hostnames";

void workload(const Change& change, Warnings& warnings) {
  name_warning(change, kPodNames, warnings);
  template_warnings(change, warnings);
}

// Upstream asks for the old template there, and means the new one.
void replication_controller(const Change& change, Warnings& warnings) {
  if (change.is_create()) return workload(change, warnings);
  if (!change.new_generation()) return;
  pod_warnings(change.old["spec"]["template"], Path("spec") / "template", true, warnings);
}

void daemon_set(const Change& change, Warnings& warnings) {
  if (change.is_create() || change.now["spec"]["template"] != change.old["spec"]["template"]) {
    pod_warnings(change.now["spec"]["template"], Path("spec") / "template", true, warnings);
  }
}

void stateful_set(const Change& change, Warnings& warnings) {
  template_warnings(change, warnings);
  const Value& spec = change.now["spec"];
  size_t i = 0;
  for (const Value& claim : spec["volumeClaimTemplates"].elements()) {
    Path path = (Path("spec") / "volumeClaimTemplates")[i++];
    claim_spec_warnings(claim["spec"], change.is_create() ? path : path / "Spec", warnings);
  }
  if (spec["revisionHistoryLimit"].as_int() < 0) {
    warn(Path("spec") / "revisionHistoryLimit",
         "a negative value retains all historical revisions; a value >= 0 is recommended",
         warnings);
  }
}

void job_spec(const Value& spec, const Path& path, Warnings& warnings) {
  if (spec["completionMode"].as_string() == "Indexed" && spec["completions"].as_int() > 100000 &&
      spec["parallelism"].as_int() > 10000) {
    warn(path,
         "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher "
         "than 10^4, Kubernetes might not be able to track completedIndexes when a big number of "
         "indexes fail",
         warnings);
  }
  pod_warnings(spec["template"], path / "template", true, warnings);
}

void job(const Change& change, Warnings& warnings) {
  name_warning(change, kPodNames, warnings);
  if (change.new_generation()) job_spec(change.now["spec"], Path("spec"), warnings);
}

void cron_job(const Change& change, Warnings& warnings) {
  name_warning(change, kPodNames, warnings);
  const Value& spec = change.now["spec"];
  if (change.new_generation()) {
    job_spec(spec["jobTemplate"]["spec"], Path("spec") / "jobTemplate" / "spec", warnings);
  }
  bool has_zone = spec["schedule"].as_string().find("TZ") != std::string_view::npos;
  if (!change.is_create() && has_zone) {
    warnings.emplace_back(
        "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details");
  }
}

// Updates of pods are frequent and seldom made by people.
void pod(const Change& change, Warnings& warnings) {
  if (!change.is_create()) return;
  name_warning(change, "the Pod's hostname", warnings);
  pod_warnings(change.now, Path(), false, warnings);
}

void template_object(const Change& change, Warnings& warnings) {
  if (!change.new_generation()) return;
  pod_warnings(change.now["template"], Path("template"), true, warnings);
}

// --- Network ---

constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";

void service(const Change& change, Warnings& warnings) {
  const Value& spec = change.now["spec"];
  if (change.now["metadata"]["annotations"].has("service.kubernetes.io/topology-aware-hints")) {
    warnings.emplace_back(
        "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
        "service.kubernetes.io/topology-mode instead");
  }
  std::string_view type = spec["type"].as_string();
  std::string_view ip = spec["clusterIP"].as_string();
  bool headless = type == "ClusterIP" && ip == "None";
  Path at("spec");
  auto each = [&](const char* list, auto check) {
    size_t i = 0;
    for (const Value& v : spec[list].elements()) check(v.as_string(), (at / list)[i++], warnings);
  };
  if (!ip.empty() && ip != "None" && type != "ExternalName") each("clusterIPs", ip_warnings);
  bool has_external_ips = !spec["externalIPs"].empty();
  const Value& balancer = spec["loadBalancerIP"];
  if (headless) {
    if (!balancer.as_string().empty()) {
      warnings.emplace_back("spec.loadBalancerIP is ignored for headless services");
    }
    if (has_external_ips) {
      warnings.emplace_back("spec.externalIPs is ignored for headless services");
    }
    if (spec["sessionAffinity"].as_string() != "None") {
      warnings.emplace_back("spec.SessionAffinity is ignored for headless services");
    }
  }
  each("externalIPs", ip_warnings);
  if (has_external_ips && !headless && type != "ExternalName") {
    warnings.emplace_back(
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  }
  if (!balancer.as_string().empty())
    ip_warnings(balancer.as_string(), at / "loadBalancerIP", warnings);
  each("loadBalancerSourceRanges", cidr_warnings);
  if (type == "ExternalName" && has_external_ips) {
    warnings.emplace_back("spec.externalIPs is ignored when spec.type is \"ExternalName\"");
  }
  if (type != "ExternalName" && !spec["externalName"].as_string().empty()) {
    warnings.emplace_back("spec.externalName is ignored when spec.type is not \"ExternalName\"");
  }
  if (spec["trafficDistribution"].as_string() == "PreferClose") {
    warn(at / "trafficDistribution", "\"PreferClose\" is deprecated; use \"PreferSameZone\"",
         warnings);
  }
}

void ingress(const Change& change, Warnings& warnings) {
  constexpr std::string_view kClass = "kubernetes.io/ingress.class";
  if (!change.is_create() || !change.now["metadata"]["annotations"].has(kClass)) return;
  if (!change.now["spec"]["ingressClassName"].is_null()) return;
  warnings.push_back(fmt::format(
      "annotation \"{}\" is deprecated, please use 'spec.ingressClassName' instead", kClass));
}

void network_policy(const Change& change, Warnings& warnings) {
  for (auto [direction, peers] : {std::pair{"ingress", "from"}, std::pair{"egress", "to"}}) {
    size_t i = 0;
    for (const Value& rule : change.now["spec"][direction].elements()) {
      Path at = (Path("spec") / direction)[i++] / peers;
      size_t j = 0;
      for (const Value& peer : rule[peers].elements()) {
        const Value& block = peer["ipBlock"];
        Path here = at[j++] / "ipBlock";
        if (block.is_null()) continue;
        cidr_warnings(block["cidr"].as_string(), here / "cidr", warnings);
        size_t k = 0;
        for (const Value& except : block["except"].elements()) {
          cidr_warnings(except.as_string(), (here / "except")[k++], warnings);
        }
      }
    }
  }
}

void endpoint_slice(const Change& change, Warnings& warnings) {
  if (change.is_create() && change.now["addressType"].as_string() == "FQDN") {
    warn(Path("spec") / "addressType", "FQDN endpoints are deprecated", warnings);
  }
  std::string_view maker = change.now["metadata"]["labels"][kManagedBy].as_string();
  if (maker == "endpointslice-controller.k8s.io" ||
      maker == "endpointslicemirroring-controller.k8s.io") {
    return;
  }
  size_t i = 0;
  for (const Value& endpoint : change.now["endpoints"].elements()) {
    Path at = Path("endpoints")[i++] / "addresses";
    size_t j = 0;
    for (const Value& a : endpoint["addresses"].elements()) {
      ip_warnings(a.as_string(), at[j++], warnings);
    }
  }
}

void endpoints(const Change& change, Warnings& warnings) {
  std::string_view maker =
      change.now["metadata"]["labels"]["endpoints.kubernetes.io/managed-by"].as_string();
  if (maker == "endpoint-controller") return;
  size_t i = 0;
  for (const Value& subset : change.now["subsets"].elements()) {
    Path at = Path("subsets")[i++];
    for (const char* list : {"addresses", "notReadyAddresses"}) {
      size_t j = 0;
      for (const Value& a : subset[list].elements()) {
        ip_warnings(a["ip"].as_string(), (at / list)[j++] / "ip", warnings);
      }
    }
  }
}

// --- Storage ---

void annotation(const Change& change, std::string_view key, std::string_view sentence,
                Warnings& warnings) {
  if (!change.now["metadata"]["annotations"].has(key)) return;
  warn((Path("metadata") / "annotations").key(key), sentence, warnings);
}

constexpr std::string_view kStorageClass = "volume.beta.kubernetes.io/storage-class";
constexpr std::string_view kUseStorageClassName =
    "deprecated since v1.8; use \"storageClassName\" attribute instead";

void persistent_volume(const Change& change, Warnings& warnings) {
  annotation(change, kStorageClass, kUseStorageClassName, warnings);
  annotation(change, "volume.beta.kubernetes.io/mount-options",
             "deprecated since v1.31; use \"mountOptions\" attribute instead", warnings);
  const Value& spec = change.now["spec"];
  Path at("spec");
  if (spec["persistentVolumeReclaimPolicy"].as_string() == "Recycle") {
    warn(at / "persistentVolumeReclaimPolicy",
         "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use "
         "dynamic provisioning.",
         warnings);
  }
  size_t i = 0;
  for (const Value& term : spec["nodeAffinity"]["required"]["nodeSelectorTerms"].elements()) {
    node_term_warnings(term, false, (at / "nodeAffinity" / "required" / "nodeSelectorTerms")[i++],
                       warnings);
  }
  constexpr std::pair<std::string_view, std::string_view> kGone[] = {
      {"cephfs", "deprecated in v1.28, non-functional in v1.31+"},
      {"photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
      {"scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
      {"storageos", "deprecated in v1.22, non-functional in v1.25+"},
      {"glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
      {"rbd", "deprecated in v1.28, non-functional in v1.31+"},
  };
  for (const auto& [source, sentence] : kGone) {
    if (spec[source].is_null()) continue;
    warn(at / (source == "storageos" ? "storageOS" : source), sentence, warnings);
  }
}

void claim(const Change& change, Warnings& warnings) {
  annotation(change, kStorageClass, kUseStorageClassName, warnings);
  claim_spec_warnings(change.now["spec"], Path("spec"), warnings);
}

void storage_class(const Change& change, Warnings& warnings) {
  size_t i = 0;
  for (const Value& topology : change.now["allowedTopologies"].elements()) {
    Path at = Path("allowedTopologies")[i++] / "matchLabelExpressions";
    size_t j = 0;
    for (const Value& e : topology["matchLabelExpressions"].elements()) {
      Path here = at[j++] / "key";
      std::string_view instead = deprecated_node_label(e["key"].as_string());
      if (!instead.empty()) warn(here, instead, warnings);
    }
  }
}

void storage_capacity(const Change& change, Warnings& warnings) {
  const Value& topology = change.now["nodeTopology"];
  node_term_warnings(topology, false, Path("nodeTopology"), warnings);
  for (const auto& [key, value] : topology["matchLabels"].members()) {
    std::string_view instead = deprecated_node_label(key);
    if (!instead.empty()) warn(Path("nodeTopology") / "matchLabels" / key, instead, warnings);
  }
}

void csi_driver(const Change& change, Warnings& warnings) {
  const Value& spec = change.now["spec"];
  const Value& tokens = spec["tokenRequests"];
  if (tokens.empty() || !spec["serviceAccountTokenInSecrets"].is_null()) return;
  if (!change.is_create() && tokens == change.old["spec"]["tokenRequests"]) return;
  warnings.emplace_back(
      "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to "
      "prevent possible logging of tokens in volume attributes");
}

// --- Others ---

void node(const Change& change, Warnings& warnings) {
  const Value& spec = change.now["spec"];
  if (!spec["externalID"].as_string().empty()) {
    warn(Path("spec") / "externalID", "this field is deprecated, and is unused by Kubernetes",
         warnings);
  }
  size_t i = 0;
  for (const Value& block : spec["podCIDRs"].elements()) {
    cidr_warnings(block.as_string(), (Path("spec") / "podCIDRs")[i++], warnings);
  }
}

void runtime_class(const Change& change, Warnings& warnings) {
  for (const auto& [key, value] : change.now["scheduling"]["nodeSelector"].members()) {
    std::string_view instead = deprecated_node_label(key);
    if (!instead.empty()) warn(Path("scheduling") / "nodeSelector", instead, warnings);
  }
}

void resource_quota(const Change& change, Warnings& warnings) {
  if (!change.is_create()) return;
  const Value& hard = change.now["spec"]["hard"];
  for (std::string_view name : {"cpu", "memory", "storage", "ephemeral-storage"}) {
    std::string request = fmt::format("requests.{}", name);
    std::string limit = fmt::format("limits.{}", name);
    bool plain = name == "cpu" || name == "memory";
    if (!hard.has(request) && plain) request = name;
    if (!hard.has(request) || !hard.has(limit)) continue;
    Result<Quantity> least = Quantity::parse(hard[request].text());
    Result<Quantity> most = Quantity::parse(hard[limit].text());
    if (!least.ok() || !most.ok() || !(*most < *least)) continue;
    warnings.push_back(fmt::format("ResourceQuota {} ({}) should be less than {} ({})", request,
                                   least->text(), limit, most->text()));
  }
}

void service_account(const Change& change, Warnings& warnings) {
  constexpr std::string_view kEnforce = "kubernetes.io/enforce-mountable-secrets";
  if (change.old["metadata"]["annotations"].has(kEnforce)) return;
  annotation(change, kEnforce,
             "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted "
             "secrets",
             warnings);
}

void secret(const Change& change, Warnings& warnings) {
  if (change.now["type"].as_string() != "kubernetes.io/tls") return;
  auto bytes = [&](const char* key) {
    Result<std::string> b = base::base64_decode(change.now["data"][key].as_string());
    return b.ok() ? *std::move(b) : std::string();
  };
  std::string problem = key_pair_problem(bytes("tls.crt"), bytes("tls.key"));
  if (!problem.empty()) warnings.push_back(std::move(problem));
}

void resource_slice(const Change& change, Warnings& warnings) {
  std::string_view driver = change.now["spec"]["driver"].as_string();
  bool upper = false;
  for (char c : driver) upper = upper || (c >= 'A' && c <= 'Z');
  if (!upper) return;
  warn(Path("spec") / "driver",
       fmt::format("driver names should be lowercase; {} contains uppercase characters",
                   go_quote(driver)),
       warnings);
}

void static_suffix(const Change& change, Warnings& warnings) {
  constexpr std::string_view kSuffix = ".static.k8s.io";
  std::string_view name = change.now["metadata"]["name"].as_string();
  if (name.size() < kSuffix.size() || name.substr(name.size() - kSuffix.size()) != kSuffix) return;
  warn(Path("metadata") / "name",
       fmt::format("names ending with \"{}\" are reserved for static manifest-based "
                   "configurations and cannot be managed via the API",
                   kSuffix),
       warnings);
}

constexpr std::string_view kAdmission = "admissionregistration.k8s.io";

constexpr WarningRule kRules[] = {
    {"", "Endpoints", endpoints},
    {"", "Node", node},
    {"", "PersistentVolume", persistent_volume},
    {"", "PersistentVolumeClaim", claim},
    {"", "Pod", pod},
    {"", "PodTemplate", template_object},
    {"", "ReplicationController", replication_controller},
    {"", "ResourceQuota", resource_quota},
    {"", "Secret", secret},
    {"", "Service", service},
    {"", "ServiceAccount", service_account},
    {kAdmission, "MutatingAdmissionPolicy", static_suffix},
    {kAdmission, "MutatingAdmissionPolicyBinding", static_suffix},
    {kAdmission, "MutatingWebhookConfiguration", static_suffix},
    {kAdmission, "ValidatingAdmissionPolicy", static_suffix},
    {kAdmission, "ValidatingAdmissionPolicyBinding", static_suffix},
    {kAdmission, "ValidatingWebhookConfiguration", static_suffix},
    {"apps", "DaemonSet", daemon_set},
    {"apps", "Deployment", workload},
    {"apps", "ReplicaSet", workload},
    {"apps", "StatefulSet", stateful_set},
    {"batch", "CronJob", cron_job},
    {"batch", "Job", job},
    {"discovery.k8s.io", "EndpointSlice", endpoint_slice},
    {"networking.k8s.io", "Ingress", ingress},
    {"networking.k8s.io", "NetworkPolicy", network_policy},
    {"node.k8s.io", "RuntimeClass", runtime_class},
    {"resource.k8s.io", "ResourceSlice", resource_slice},
    {"storage.k8s.io", "CSIDriver", csi_driver},
    {"storage.k8s.io", "CSIStorageCapacity", storage_capacity},
    {"storage.k8s.io", "StorageClass", storage_class},
};

}  // namespace
}  // namespace rules

std::vector<std::string> warnings_of(const ValidationTarget& target, const json::Value& object,
                                     const json::Value& old) {
  std::vector<std::string> warnings;
  for (const rules::WarningRule& r : rules::kRules) {
    if (r.group != target.group || r.kind != target.kind) continue;
    r.of({object, old}, warnings);
    break;
  }
  return warnings;
}

std::vector<std::string> status_warnings(const ValidationTarget& target,
                                         const json::Value& object) {
  std::vector<std::string> warnings;
  const json::Value& status = object["status"];
  Path at("status");
  if (target.group.empty() && target.kind == "Pod") {
    for (const char* list : {"podIPs", "hostIPs"}) {
      size_t i = 0;
      for (const json::Value& a : status[list].elements()) {
        rules::ip_warnings(a["ip"].as_string(), (at / list)[i++] / "ip", warnings);
      }
    }
  }
  if (target.kind == "Service" || target.kind == "Ingress") {
    size_t i = 0;
    for (const json::Value& a : status["loadBalancer"]["ingress"].elements()) {
      Path here = (at / "loadBalancer" / "ingress")[i++];
      if (!a["ip"].as_string().empty()) rules::ip_warnings(a["ip"].as_string(), here, warnings);
    }
  }
  return warnings;
}

}  // namespace knarr::api
