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
constexpr Traits kDeviceClass{.generation = true, .returns_deleted = true};
constexpr Traits kPriorityClass{.generation = true, .generation_counts = false};
constexpr Traits kDriver{.generation = true,
                         .generation_at_create = false,
                         .unconditional_update = false,
                         .returns_deleted = true};
constexpr Traits kLease{.create_on_update = true, .unconditional_update = false};
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
    {"", "podtemplates", kReturnsDeleted},
    {"", "resourcequotas", kReturnsDeleted},
    {"", "serviceaccounts", kReturnsDeleted},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies", kGenerationConditional},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", kGenerationConditional},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", kGenerationConditional},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", kGenerationConditional},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings", kGenerationConditional},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations", kGenerationConditional},
    {"coordination.k8s.io", "leases", kLease},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", kGeneration},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", kGeneration},
    {"networking.k8s.io", "ingressclasses", kGeneration},
    {"networking.k8s.io", "ingresses", kGeneration},
    {"networking.k8s.io", "ipaddresses", kConditional},
    {"networking.k8s.io", "networkpolicies", kGeneration},
    {"node.k8s.io", "runtimeclasses", kConditional},
    {"policy", "poddisruptionbudgets", kGenerationConditional},
    {"rbac.authorization.k8s.io", "clusterrolebindings", kCreateOnUpdate},
    {"rbac.authorization.k8s.io", "clusterroles", kCreateOnUpdate},
    {"rbac.authorization.k8s.io", "rolebindings", kCreateOnUpdate},
    {"rbac.authorization.k8s.io", "roles", kCreateOnUpdate},
    {"resource.k8s.io", "deviceclasses", kDeviceClass},
    {"resource.k8s.io", "resourceclaims", kReturnsDeleted},
    {"resource.k8s.io", "resourceclaimtemplates", kReturnsDeleted},
    {"resource.k8s.io", "resourceslices", kDeviceClass},
    {"scheduling.k8s.io", "priorityclasses", kPriorityClass},
    {"storage.k8s.io", "csidrivers", kDriver},
    {"storage.k8s.io", "csinodes", kReturnsDeletedConditional},
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
