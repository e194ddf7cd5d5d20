// Defaults of the core group that need more than one field. Those of pods are in defaults_pod.cc.
#include "api/schema/default_hooks.h"
#include "base/base64.h"

namespace knarr::api {

void default_core_v1_ReplicationController(json::Value& rc) {
  const json::Value labels = rc["spec"]["template"]["metadata"]["labels"];
  if (labels.empty()) return;
  json::Value& spec = rc.member("spec");
  if (spec["selector"].empty()) spec.set("selector", labels);
  json::Value& metadata = rc.member("metadata");
  if (metadata["labels"].empty()) metadata.set("labels", labels);
}

namespace {

void default_service_ports(json::Value& spec) {
  json::Value* ports = spec.find("ports");
  if (ports == nullptr) return;
  for (json::Value& port : ports->elements()) {
    fill_blank(port, "protocol", "TCP");
    const json::Value& target = port["targetPort"];
    bool zero = target.is_integer() && target.as_int() == 0;
    if (zero || blank(port, "targetPort")) port.set("targetPort", port["port"].as_int());
  }
}

void default_session_affinity(json::Value& spec) {
  if (is_text(spec, "sessionAffinity", "None")) {
    spec.erase("sessionAffinityConfig");
  } else if (is_text(spec, "sessionAffinity", "ClientIP")) {
    json::Value& config = spec.member("sessionAffinityConfig");
    json::Value& client = config.member("clientIP");
    fill(client, "timeoutSeconds", 10800);
  }
}

}  // namespace

void default_core_v1_Service(json::Value& service) {
  json::Value& spec = service.member("spec");
  fill_blank(spec, "sessionAffinity", "None");
  fill_blank(spec, "type", "ClusterIP");
  default_session_affinity(spec);
  default_service_ports(spec);
  bool cluster_ip = is_text(spec, "type", "ClusterIP");
  bool node_port = is_text(spec, "type", "NodePort");
  bool load_balancer = is_text(spec, "type", "LoadBalancer");
  bool external = node_port || load_balancer || (cluster_ip && !spec["externalIPs"].empty());
  if (external) fill_blank(spec, "externalTrafficPolicy", "Cluster");
  if (cluster_ip || node_port || load_balancer) fill(spec, "internalTrafficPolicy", "Cluster");
  if (!load_balancer) return;
  fill(spec, "allocateLoadBalancerNodePorts", true);
  json::Value* status = service.find("status");
  json::Value* balancer = status != nullptr ? status->find("loadBalancer") : nullptr;
  json::Value* ingress = balancer != nullptr ? balancer->find("ingress") : nullptr;
  if (ingress == nullptr) return;
  for (json::Value& entry : ingress->elements()) {
    if (!blank(entry, "ip")) fill(entry, "ipMode", "VIP");
  }
}

// stringData is write-only: it overrides data, encoded.
void default_core_v1_Secret(json::Value& secret) {
  const json::Value plain = secret["stringData"];
  if (!secret.erase("stringData") || plain.empty()) return;
  json::Value& data = secret.member("data");
  for (json::Member member : plain.members()) {
    data.set(member.key, base::base64_encode(member.value.as_string()));
  }
}

// The single range and the list of ranges say the same.
void default_core_v1_NodeSpec(json::Value& spec) {
  std::string one = spec["podCIDR"].text();
  const json::Value first = spec["podCIDRs"][0];
  if (!one.empty() && first.as_string() != one) {
    spec.set("podCIDRs", json::Value::array({one}));
  } else if (one.empty() && first.is_string()) {
    spec.set("podCIDR", first);
  }
}

void default_core_v1_PersistentVolume(json::Value& volume) {
  json::Value& spec = volume.member("spec");
  fill_blank(spec, "persistentVolumeReclaimPolicy", "Retain");
  fill(spec, "volumeMode", "Filesystem");
  fill_blank(volume.member("status"), "phase", "Pending");
}

void default_core_v1_PersistentVolumeClaim(json::Value& claim) {
  fill_blank(claim.member("status"), "phase", "Pending");
}

void default_core_v1_Namespace(json::Value& ns) {
  const json::Value name = ns["metadata"]["name"];
  if (name.as_string().empty()) return;
  ns.member("metadata").member("labels").set("kubernetes.io/metadata.name", name);
}

void default_core_v1_NodeStatus(json::Value& status) {
  if (unset(status, "allocatable") && !status["capacity"].empty()) {
    json::Value capacity = status["capacity"];
    status.set("allocatable", std::move(capacity));
  }
}

void default_core_v1_LimitRangeItem(json::Value& item) {
  if (!is_text(item, "type", "Container")) return;
  auto fill_from = [&](std::string_view key, std::string_view source) {
    const json::Value from = item[source];
    if (from.empty()) return;
    json::Value& target = item.member(key);
    if (!target.is_object()) target = json::Value::object();
    for (json::Member member : from.members()) fill(target, member.key, member.value);
  };
  fill_from("default", "max");
  fill_from("defaultRequest", "default");
  fill_from("defaultRequest", "min");
}

}  // namespace knarr::api
