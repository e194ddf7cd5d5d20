// The compiled-in admission plug-ins, each made by a function of its own file.
#pragma once

#include <memory>

#include "server/admission/admission.h"

namespace knarr::server {

std::unique_ptr<AdmissionPlugin> make_namespace_lifecycle(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_limit_ranger(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_pod_topology_labels(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_resource_quota(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_service_account(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_taint_nodes();
std::unique_ptr<AdmissionPlugin> make_node_restriction(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_priority(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_default_toleration_seconds();
std::unique_ptr<AdmissionPlugin> make_default_storage_class(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_storage_object_in_use_protection();
std::unique_ptr<AdmissionPlugin> make_runtime_class(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_pod_resize(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_certificate_approval(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_certificate_signing(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_certificate_subject_restriction();
// With an authorizer and RBAC among its modes only.
std::unique_ptr<AdmissionPlugin> make_role_escalation(const AdmissionDeps& deps);
std::unique_ptr<AdmissionPlugin> make_default_ingress_class(const AdmissionDeps& deps);

}  // namespace knarr::server
