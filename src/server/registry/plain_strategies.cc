// Kinds whose strategy is facts alone.

#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

constexpr Traits kGeneration{.generation = true};
constexpr Traits kCreateOnUpdate{.create_on_update = true};
constexpr Traits kConditional{.unconditional_update = false};
constexpr Traits kGenerationConditional{.generation = true, .unconditional_update = false};
constexpr Traits kReturnsDeleted{.returns_deleted = true};
constexpr Traits kReturnsDeletedConditional{.unconditional_update = false, .returns_deleted = true};
constexpr Traits kReturnsDeletedGeneration{.generation = true, .returns_deleted = true};
constexpr Traits kPriorityClass{.generation = true, .generation_counts = false};
constexpr Traits kDriver{.generation = true,
                         .generation_at_create = false,
                         .unconditional_update = false,
                         .returns_deleted = true};
constexpr Traits kCreateOnUpdateConditional{.create_on_update = true,
                                            .unconditional_update = false};
constexpr Traits kBareStatus{.metadata_of_status = false};
constexpr Traits kGenerationBareStatus{.generation = true, .metadata_of_status = false};
constexpr Traits kPolicy{
    .generation = true, .unconditional_update = false, .metadata_of_status = false};
constexpr Traits kClaim{.returns_deleted = true, .metadata_of_status = false};
constexpr Traits kEvents{
    .create_on_update = true, .gc = GcPolicy::kUnsupported, .ttl_ms = 60 * 60 * 1000};

struct Row {
  std::string_view group;
  std::string_view plural;
  const Traits& traits;
};

constexpr Row kRows[] = {
    {"", "endpoints", kCreateOnUpdate},
    {"", "events", kEvents},
    {"", "podtemplates", kReturnsDeletedGeneration},
    {"", "resourcequotas", kReturnsDeleted},
    {"", "serviceaccounts", kReturnsDeleted},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies", kGenerationConditional},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", kGenerationConditional},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", kGenerationConditional},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", kPolicy},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings", kGenerationConditional},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations", kGenerationConditional},
    {"coordination.k8s.io", "leases", kCreateOnUpdateConditional},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", kGenerationBareStatus},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", kGenerationBareStatus},
    {"networking.k8s.io", "ingressclasses", kGeneration},
    {"networking.k8s.io", "ingresses", kGeneration},
    {"networking.k8s.io", "networkpolicies", kGeneration},
    {"networking.k8s.io", "servicecidrs", kBareStatus},
    {"node.k8s.io", "runtimeclasses", kCreateOnUpdateConditional},
    {"policy", "poddisruptionbudgets", kGenerationConditional},
    {"rbac.authorization.k8s.io", "clusterrolebindings", kCreateOnUpdate},
    {"rbac.authorization.k8s.io", "clusterroles", kCreateOnUpdate},
    {"rbac.authorization.k8s.io", "rolebindings", kCreateOnUpdate},
    {"rbac.authorization.k8s.io", "roles", kCreateOnUpdate},
    {"resource.k8s.io", "deviceclasses", kReturnsDeletedGeneration},
    {"resource.k8s.io", "resourceclaims", kClaim},
    {"resource.k8s.io", "resourceclaimtemplates", kReturnsDeleted},
    {"resource.k8s.io", "resourceslices", kReturnsDeletedGeneration},
    {"scheduling.k8s.io", "priorityclasses", kPriorityClass},
    {"storage.k8s.io", "csidrivers", kDriver},
    {"storage.k8s.io", "csinodes", kReturnsDeletedConditional},
    {"storage.k8s.io", "csistoragecapacities", kConditional},
    {"storage.k8s.io", "storageclasses", kReturnsDeleted},
    {"storage.k8s.io", "volumeattributesclasses", kReturnsDeleted},
};

}  // namespace

void add_plain_strategies(std::vector<StrategyRow>& rows) {
  for (const Row& row : kRows) {
    rows.push_back({row.group, row.plural, std::make_unique<Strategy>(row.traits)});
  }
}

}  // namespace knarr::server
