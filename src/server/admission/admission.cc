#include "server/admission/admission.h"

#include "server/admission/plugins.h"
#include "server/status/errors.h"

namespace knarr::server {

void AdmissionChain::use(client::Client& client) const {
  for (const auto& plugin : plugins_) plugin->use(client);
}

Result<void> AdmissionChain::mutate(AdmissionRequest& request) const {
  for (const auto& plugin : plugins_) TRY(plugin->mutate(request));
  return {};
}

Result<void> AdmissionChain::validate(const AdmissionRequest& request) const {
  for (const auto& plugin : plugins_) TRY(plugin->validate(request));
  return {};
}

Error admission_forbidden(const AdmissionRequest& request, std::string_view why) {
  return forbidden(request.resource->group, request.resource->plural, request.name, why);
}

std::unique_ptr<AdmissionChain> make_admission(const AdmissionDeps& deps) {
  auto chain = std::make_unique<AdmissionChain>();
  chain->add(make_namespace_lifecycle(deps));
  chain->add(make_limit_ranger(deps));
  chain->add(make_service_account(deps));
  chain->add(make_node_restriction(deps));
  chain->add(make_taint_nodes());
  chain->add(make_priority(deps));
  chain->add(make_default_toleration_seconds());
  chain->add(make_default_storage_class(deps));
  chain->add(make_storage_object_in_use_protection());
  chain->add(make_runtime_class(deps));
  chain->add(make_certificate_approval(deps));
  chain->add(make_certificate_signing(deps));
  chain->add(make_certificate_subject_restriction());
  chain->add(make_default_ingress_class(deps));
  chain->add(make_pod_resize(deps));
  chain->add(make_pod_topology_labels(deps));
  if (deps.rbac != nullptr) chain->add(make_role_escalation(deps));
  chain->add(make_resource_quota(deps));  // last: what it charges is to be stored
  return chain;
}

}  // namespace knarr::server
