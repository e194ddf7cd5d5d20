#include "server/admission/admission.h"

#include "server/admission/plugins.h"
#include "server/status/errors.h"

namespace knarr::server {

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
  chain->add(make_service_account(deps));
  chain->add(make_taint_nodes());
  chain->add(make_priority(deps));
  chain->add(make_default_toleration_seconds());
  chain->add(make_default_storage_class(deps));
  chain->add(make_storage_object_in_use_protection());
  chain->add(make_runtime_class(deps));
  chain->add(make_default_ingress_class(deps));
  return chain;
}

}  // namespace knarr::server
