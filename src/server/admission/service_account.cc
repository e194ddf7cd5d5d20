// ServiceAccount: a pod runs as an account that exists, and finds the account's token, the
// cluster's CA and its namespace in a projected volume.

#include "base/format.h"
#include "server/admission/plugins.h"
#include "server/admission/secret_references.h"

namespace knarr::server {
namespace {

constexpr std::string_view kVolumePrefix = "kube-api-access-";
constexpr std::string_view kMountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
// An hour and a bit: kubelets renew a token at 80 % of its life, so that a file is never read late.
constexpr int kTokenSeconds = 3607;

json::Value projected_volume(const std::string& name) {
  using json::Value;
  Value token = Value::object({{"expirationSeconds", kTokenSeconds}, {"path", "token"}});
  Value ca = Value::object(
      {{"name", "kube-root-ca.crt"},
       {"items", Value::array({Value::object({{"key", "ca.crt"}, {"path", "ca.crt"}})})}});
  Value ns = Value::object(
      {{"items", Value::array({Value::object(
                     {{"path", "namespace"},
                      {"fieldRef", Value::object({{"apiVersion", "v1"},
                                                  {"fieldPath", "metadata.namespace"}})}})})}});
  Value sources = Value::array({Value::object({{"serviceAccountToken", std::move(token)}}),
                                Value::object({{"configMap", std::move(ca)}}),
                                Value::object({{"downwardAPI", std::move(ns)}})});
  return Value::object(
      {{"name", name},
       {"projected", Value::object({{"sources", std::move(sources)}, {"defaultMode", 420}})}});
}

bool mounts_token(const json::Value& container) {
  for (const json::Value& mount : container["volumeMounts"].elements()) {
    if (mount["mountPath"].as_string() == kMountPath) return true;
  }
  return false;
}

class ServiceAccount final : public AdmissionPlugin {
 public:
  ServiceAccount(const Cache& cache, Random& random) : cache_(cache), random_(random) {}
  std::string_view name() const override { return "ServiceAccount"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.is("", "pods") ||
        !request.subresource.empty()) {
      return {};
    }
    json::Value& pod = *request.object;
    if (pod["metadata"]["annotations"].has("kubernetes.io/config.mirror")) return {};
    json::Value& spec = pod.member("spec");
    std::string account = spec["serviceAccountName"].text();
    if (account.empty()) account = "default";
    spec.set("serviceAccountName", account);
    spec.set("serviceAccount", account);

    ObjectRef found = cache_.get({{"", "serviceaccounts"}, {request.ns, account}});
    if (found == nullptr) {
      return admission_forbidden(
          request, fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not "
                               "found",
                               request.ns, account, account));
    }
    json::Value sa;
    TRY_ASSIGN(sa, json::parse(found->json));
    const json::Value* automount = spec.find("automountServiceAccountToken");
    if (automount == nullptr || automount->is_null()) {
      automount = sa.find("automountServiceAccountToken");
    }
    if (automount == nullptr || automount->as_bool(true)) mount_token(spec);
    if (spec["imagePullSecrets"].empty() && !sa["imagePullSecrets"].empty()) {
      spec.set("imagePullSecrets", sa["imagePullSecrets"]);
    }
    return {};
  }

  Result<void> validate(const AdmissionRequest& request) override {
    bool created = request.operation == Operation::kCreate && request.subresource.empty();
    bool ephemeral = request.subresource == "ephemeralcontainers";
    if (!request.is("", "pods") || (!created && !ephemeral)) return {};
    const json::Value& pod = *request.object;
    std::string account = pod["spec"]["serviceAccountName"].text();
    ObjectRef found = cache_.get({{"", "serviceaccounts"}, {request.ns, account}});
    if (found == nullptr) return {};
    json::Value sa;
    TRY_ASSIGN(sa, json::parse(found->json));
    if (!limits_secrets(sa)) return {};
    std::string refused =
        ephemeral ? forbidden_ephemeral_secret(sa, pod) : forbidden_secret(sa, pod);
    if (!refused.empty()) return admission_forbidden(request, refused);
    return {};
  }

 private:
  void mount_token(json::Value& spec) {
    std::string volume;
    for (const json::Value& v : spec["volumes"].elements()) {
      if (v["name"].as_string().starts_with(kVolumePrefix)) volume = v["name"].text();
    }
    bool exists = !volume.empty();
    if (!exists) volume = std::string(kVolumePrefix) + random_.suffix(5);
    bool needed = false;
    for (const char* list : {"initContainers", "containers"}) {
      json::Value* containers = spec.find(list);
      if (containers == nullptr) continue;
      for (json::Value& container : containers->elements()) {
        if (mounts_token(container)) continue;
        container.member("volumeMounts")
            .push_back(json::Value::object(
                {{"name", volume}, {"readOnly", true}, {"mountPath", kMountPath}}));
        needed = true;
      }
    }
    if (needed && !exists) spec.member("volumes").push_back(projected_volume(volume));
  }

  const Cache& cache_;
  Random& random_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_service_account(const AdmissionDeps& deps) {
  return std::make_unique<ServiceAccount>(deps.cache, deps.random);
}

}  // namespace knarr::server
