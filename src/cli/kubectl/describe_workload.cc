// The pages of Deployments and Services.
#include "api/selector.h"
#include "base/format.h"
#include "cli/kubectl/describe_text.h"
#include "cli/kubectl/jsonpath.h"

namespace knarr::kubectl {

namespace {

using json::Value;

constexpr char kRevision[] = "deployment.kubernetes.io/revision";

std::string replica_sets_text(const Value& sets, bool newest, const Value& revision) {
  std::string out;
  for (const Value& set : sets.elements()) {
    bool is_new = set["metadata"]["annotations"][kRevision] == revision;
    if (is_new != newest) continue;
    out += fmt::format("{}{} ({}/{} replicas created)", out.empty() ? "" : ", ",
                       set["metadata"]["name"].as_string(), set["status"]["replicas"].as_int(),
                       set["spec"]["replicas"].as_int());
  }
  return out.empty() ? "<none>" : out;
}

std::string endpoints_text(const Value& slices, const Value& port) {
  std::string out;
  for (const Value& slice : slices.elements()) {
    for (const Value& offered : slice["ports"].elements()) {
      if (offered["name"].as_string() != port["name"].as_string()) continue;
      for (const Value& endpoint : slice["endpoints"].elements()) {
        if (!endpoint["conditions"]["ready"].as_bool(true)) continue;
        for (const Value& address : endpoint["addresses"].elements()) {
          out += fmt::format("{}{}:{}", out.empty() ? "" : ",", address.as_string(),
                             offered["port"].as_int());
        }
      }
    }
  }
  return out;
}

std::string texts(const Value& list) {
  std::string out;
  for (const Value& one : list.elements()) out += (out.empty() ? "" : ",") + one.text();
  return out;
}

}  // namespace

std::string describe_deployment(const Value& deployment, const Value& replica_sets) {
  const Value& spec = deployment["spec"];
  const Value& status = deployment["status"];
  std::string out = describe_metadata(deployment, true);
  auto selector = api::label_selector_text(spec["selector"]);
  out += fmt::format("Selector:\t{}\n", selector.ok() ? *selector : "");
  out += fmt::format(
      "Replicas:\t{} desired | {} updated | {} total | {} available | {} unavailable\n",
      spec["replicas"].as_int(1), status["updatedReplicas"].as_int(), status["replicas"].as_int(),
      status["availableReplicas"].as_int(), status["unavailableReplicas"].as_int());
  out += fmt::format("StrategyType:\t{}\nMinReadySeconds:\t{}\n",
                     spec["strategy"]["type"].as_string(), spec["minReadySeconds"].as_int());
  if (const Value& rolling = spec["strategy"]["rollingUpdate"]; rolling.is_object()) {
    out += fmt::format("RollingUpdateStrategy:\t{} max unavailable, {} max surge\n",
                       value_text(rolling["maxUnavailable"]), value_text(rolling["maxSurge"]));
  }
  out += pod_template_lines(spec["template"]);
  if (!status["conditions"].empty()) {
    out += "Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------\n";
    for (const Value& condition : status["conditions"].elements()) {
      out += fmt::format("  {} \t{}\t{}\n", condition["type"].as_string(),
                         condition["status"].as_string(), condition["reason"].as_string());
    }
  }
  const Value& revision = deployment["metadata"]["annotations"][kRevision];
  return out + fmt::format("OldReplicaSets:\t{}\nNewReplicaSet:\t{}\n",
                           replica_sets_text(replica_sets, false, revision),
                           replica_sets_text(replica_sets, true, revision));
}

std::string describe_service(const Value& service, const Value& slices) {
  const Value& spec = service["spec"];
  std::string out = describe_metadata(service, false);
  std::string selector = api::LabelSelector::from_map(spec["selector"]).text();
  out += fmt::format("Selector:\t{}\n", spec["selector"].empty() ? "<none>" : selector);
  out += fmt::format("Type:\t{}\nIP Family Policy:\t{}\nIP Families:\t{}\nIP:\t{}\nIPs:\t{}\n",
                     spec["type"].as_string(), spec["ipFamilyPolicy"].as_string("<none>"),
                     texts(spec["ipFamilies"]), spec["clusterIP"].as_string(),
                     spec["clusterIPs"].empty() ? "<none>" : texts(spec["clusterIPs"]));
  if (!spec["externalIPs"].empty()) {
    out += fmt::format("External IPs:\t{}\n", texts(spec["externalIPs"]));
  }
  if (spec["externalName"].is_string()) {
    out += fmt::format("External Name:\t{}\n", spec["externalName"].as_string());
  }
  for (const Value& port : spec["ports"].elements()) {
    std::string name = port["name"].text().empty() ? "<unset>" : port["name"].text();
    std::string protocol = port["protocol"].text();
    out += fmt::format("Port:\t{}\t{}/{}\n", name, port["port"].as_int(), protocol);
    out += fmt::format("TargetPort:\t{}/{}\n", value_text(port["targetPort"]), protocol);
    if (port["nodePort"].as_int() != 0) {
      out += fmt::format("NodePort:\t{}\t{}/{}\n", name, port["nodePort"].as_int(), protocol);
    }
    out += fmt::format("Endpoints:\t{}\n", endpoints_text(slices, port));
  }
  out += fmt::format("Session Affinity:\t{}\n", spec["sessionAffinity"].as_string());
  if (spec["externalTrafficPolicy"].is_string()) {
    out += fmt::format("External Traffic Policy:\t{}\n", spec["externalTrafficPolicy"].as_string());
  }
  if (spec["internalTrafficPolicy"].is_string()) {
    out += fmt::format("Internal Traffic Policy:\t{}\n", spec["internalTrafficPolicy"].as_string());
  }
  return out;
}

}  // namespace knarr::kubectl
