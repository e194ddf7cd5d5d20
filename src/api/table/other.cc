// Certificates, aggregated APIs, device claims.
#include "api/duration.h"
#include "api/table/columns.h"
#include "base/format.h"

namespace knarr::api::table {
namespace {

json::Value requested_duration(const json::Value& csr, int64_t) {
  const json::Value& seconds = csr["spec"]["expirationSeconds"];
  return seconds.is_null() ? "<none>" : human_duration(seconds.as_int() * 1'000'000);
}

json::Value csr_condition(const json::Value& csr, int64_t) {
  bool approved = false;
  bool denied = false;
  bool failed = false;
  for (const json::Value& condition : csr["status"]["conditions"].elements()) {
    std::string_view type = condition["type"].as_string();
    approved |= type == "Approved";
    denied |= type == "Denied";
    failed |= type == "Failed";
  }
  std::string out = denied ? "Denied" : approved ? "Approved" : "Pending";
  if (failed) out += ",Failed";
  if (!csr["status"]["certificate"].as_string().empty()) out += ",Issued";
  return out;
}

json::Value service(const json::Value& api, int64_t) {
  const json::Value& service = api["spec"]["service"];
  if (service.is_null()) return "Local";
  return service["namespace"].text() + "/" + service["name"].text();
}

json::Value available(const json::Value& api, int64_t) {
  for (const json::Value& condition : api["status"]["conditions"].elements()) {
    if (condition["type"].as_string() != "Available") continue;
    std::string_view status = condition["status"].as_string();
    std::string_view reason = condition["reason"].as_string();
    if (status == "True" || reason.empty()) return status;
    return fmt::format("{} ({})", status, reason);
  }
  return "Unknown";
}

json::Value claim_state(const json::Value& claim, int64_t) {
  std::vector<std::string> out;
  bool deleted = !claim["metadata"]["deletionTimestamp"].is_null();
  if (deleted) out.emplace_back("deleted");
  if (claim["status"]["allocation"].is_null()) {
    if (!deleted) out.emplace_back("pending");
  } else {
    out.emplace_back("allocated");
    if (!claim["status"]["reservedFor"].empty()) out.emplace_back("reserved");
  }
  return joined(out, ",");
}

constexpr Column kRequests[] = {
    name_column(),
    age_column(),
    text("SignerName", "spec.signerName", "<none>"),
    text("Requestor", "spec.username"),
    cell("RequestedDuration", requested_duration),
    cell("Condition", csr_condition),
};
constexpr Column kApiServices[] = {name_column(), cell("Service", service),
                                   cell("Available", available), age_column()};
constexpr Column kPlain[] = {name_column(), age_column()};
constexpr Column kClaims[] = {name_column(), cell("State", claim_state), age_column()};
constexpr Column kSlices[] = {name_column(), text("Node", "spec.nodeName"),
                              text("Driver", "spec.driver"), text("Pool", "spec.pool.name"),
                              age_column()};

constexpr ResourceTable kTables[] = {
    {"certificates.k8s.io", "certificatesigningrequests", kRequests},
    {"apiregistration.k8s.io", "apiservices", kApiServices},
    {"resource.k8s.io", "deviceclasses", kPlain},
    {"resource.k8s.io", "resourceclaims", kClaims},
    {"resource.k8s.io", "resourceclaimtemplates", kPlain},
    {"resource.k8s.io", "resourceslices", kSlices},
};

}  // namespace

std::span<const ResourceTable> other_tables() { return kTables; }

}  // namespace knarr::api::table
