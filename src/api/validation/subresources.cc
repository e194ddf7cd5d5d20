// Writes of subresources other than /status.
#include "api/validation/pem.h"
#include "api/validation/pod_object.h"
#include "api/validation/rules.h"
#include "api/validation/validation.h"
#include "base/base64.h"
#include "base/format.h"

namespace knarr::api {
namespace {

using rules::Value;

bool has_type(const Value& conditions, std::string_view type) {
  for (const Value& condition : conditions.elements()) {
    if (condition["type"].as_string() == type) return true;
  }
  return false;
}

// Conditions of a signing request; approval may only come through /approval, and stays.
void csr_conditions(const Value& object, const Value& old, bool approval, ErrorList& errors) {
  const Value& conditions = object["status"]["conditions"];
  const Value& before = old["status"]["conditions"];
  Path path = Path("status") / "conditions";
  for (const char* type : {"Approved", "Denied"}) {
    std::string quoted = go_quote(type);
    if (has_type(before, type) && !has_type(conditions, type)) {
      errors.forbidden(path, "updates may not remove a condition of type " + quoted);
    } else if (!approval && !has_type(before, type) && has_type(conditions, type)) {
      errors.forbidden(path, "updates may not add a condition of type " + quoted);
    }
  }
  size_t i = 0;
  for (const Value& condition : conditions.elements()) {
    Path at = path[i++];
    std::string_view type = condition["type"].as_string();
    if (type.empty()) errors.required(at / "type");
    std::string_view status = condition["status"].as_string();
    if (type == "Approved" || type == "Denied" || type == "Failed") {
      rules::one_of(status, {"True"}, at / "status", errors);
    } else {
      rules::one_of(status, {"False", "True", "Unknown"}, at / "status", errors);
    }
  }
  if (has_type(conditions, "Approved") && has_type(conditions, "Denied")) {
    errors.invalid(path, "Denied", "Approved and Denied conditions are mutually exclusive");
  }
}

// A certificate once written is not looked at again.
void issued_certificate(const Value& object, const Value& old, ErrorList& errors) {
  const Value& given = object["status"]["certificate"];
  if (given.empty() || given == old["status"]["certificate"]) return;
  Result<std::string> text = base::base64_decode(given.as_string());
  std::vector<PemBlock> blocks = pem_blocks(text.ok() ? *text : std::string());
  std::string problem = blocks.empty() ? "must contain at least one CERTIFICATE PEM block" : "";
  for (const PemBlock& block : blocks) {
    if (block.type == "CERTIFICATE" || !problem.empty()) continue;
    problem =
        fmt::format("only CERTIFICATE PEM blocks are allowed, found {}", go_quote(block.type));
  }
  if (problem.empty()) return;
  errors.invalid(Path("status") / "certificate", "<certificate data>", problem);
}

}  // namespace

void rules::signing_request_status(const Value& object, const Value& old, ErrorList& errors) {
  csr_conditions(object, old, false, errors);
  issued_certificate(object, old, errors);
  const Value& before = old["status"]["certificate"];
  if (!before.empty() && !(object["status"]["certificate"] == before)) {
    errors.forbidden(Path("status") / "certificate",
                     "updates may not modify existing certificate content");
  }
}

void rules::scale(const Value& object, ErrorList& errors) {
  rules::not_negative(object["spec"]["replicas"], Path("spec") / "replicas", errors);
}

void rules::subresource(std::string_view kind, std::string_view name, const Value& object,
                        const Value& old, ErrorList& errors) {
  if (kind == "Pod") {
    if (name == "resize") rules::pod_resize(object, old, errors);
    if (name == "ephemeralcontainers") rules::pod_ephemeral_update(object, old, errors);
  } else if (kind == "CertificateSigningRequest" && name == "approval") {
    csr_conditions(object, old, true, errors);
  } else if (kind == "Namespace" && name == "finalize") {
    const Value& finalizers = object["spec"]["finalizers"];
    size_t i = 0;
    for (const Value& finalizer : finalizers.elements()) {
      rules::qualified_name(finalizer, (Path("spec") / "finalizers")[i++], errors);
    }
    validate_kube_finalizers(finalizers, Path("spec") / "finalizers", errors);
  }
}

}  // namespace knarr::api
