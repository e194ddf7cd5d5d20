#include "server/controllers/certificates.h"

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/view/meta.h"
#include "base/ascii.h"
#include "base/base64.h"
#include "base/format.h"
#include "base/time.h"
#include "knarr/names.h"

namespace knarr::server {

namespace {

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kHourUs = 3600 * kSecondUs;
constexpr int64_t kBackdateSeconds = 5 * 60;
constexpr int64_t kLeastSeconds = 10 * 60;
constexpr int64_t kMostSeconds = 365 * 86400;

// A machine that was let in makes its Node within a second or so.
constexpr int64_t kComingMs = 60000;

using Usages = std::vector<std::string>;

bool has_condition(const json::Value& request, const char* type) {
  return api::condition_is(request["status"]["conditions"], type, "True") ||
         // Made before conditions had a status.
         (!api::condition(request["status"]["conditions"], type).is_null() &&
          api::condition(request["status"]["conditions"], type)["status"].is_null());
}

Usages usages_of(const json::Value& request) {
  Usages usages;
  for (const json::Value& u : request["spec"]["usages"].elements()) usages.push_back(u.text());
  return usages;
}

Result<SigningRequestInfo> asked_by(const json::Value& request) {
  TRY_ASSIGN(std::string pem, base::base64_decode(request["spec"]["request"].as_string()));
  return read_signing_request(pem);
}

// Exactly these, of which "key encipherment" may be missing.
bool usages_are(const Usages& usages, const char* purpose) {
  std::set<std::string> given(usages.begin(), usages.end());
  given.erase("key encipherment");
  return given == std::set<std::string>{"digital signature", purpose};
}

std::string node_of(const SigningRequestInfo& asked) {
  return asked.common_name.substr(std::string_view(kNodeUserPrefix).size());
}

// Who compares a node's name with others byte for byte may do so: TLS knows no case, and takes
// "*." for a name's beginning.
std::string node_objection(const SigningRequestInfo& asked,
                           const std::vector<std::string>& organizations = {kNodeUsersGroup}) {
  if (asked.organizations != organizations) return "subject organization is not system:nodes";
  if (!asked.common_name.starts_with(kNodeUserPrefix)) {
    return "subject common name does not begin with system:node:";
  }
  if (!api::is_dns1123_subdomain(node_of(asked))) {
    return "subject common name has no name of a node after system:node:";
  }
  return {};
}

std::string node_client_objection(const SigningRequestInfo& asked, const Usages& usages,
                                  const std::vector<std::string>& organizations) {
  if (std::string why = node_objection(asked, organizations); !why.empty()) return why;
  if (!asked.dns_names.empty()) return "DNS subjectAltNames are not allowed";
  if (!asked.emails.empty()) return "Email subjectAltNames are not allowed";
  if (!asked.ip_addresses.empty()) return "IP subjectAltNames are not allowed";
  if (!asked.uris.empty()) return "URI subjectAltNames are not allowed";
  if (usages_are(usages, "client auth")) return {};
  return "usages did not match [client auth digital signature]";
}

std::string kubelet_serving_objection(const SigningRequestInfo& asked, const Usages& usages) {
  if (asked.dns_names.empty() && asked.ip_addresses.empty()) {
    return "DNS or IP subjectAltName is required";
  }
  if (!asked.emails.empty()) return "Email subjectAltNames are not allowed";
  if (!asked.uris.empty()) return "URI subjectAltNames are not allowed";
  if (!usages_are(usages, "server auth")) {
    return "usages did not match [digital signature server auth]";
  }
  return node_objection(asked);
}

std::string client_objection(const Usages& usages) {
  bool client = false;
  for (const std::string& usage : usages) {
    if (usage == "client auth") {
      client = true;
    } else if (usage != "digital signature" && usage != "key encipherment") {
      return "invalid usage for client certificate: " + usage;
    }
  }
  return client ? "" : "missing required usage for client certificate: client auth";
}

bool is_own_signer(const std::string& signer) {
  return signer == kApiserverClientSigner || signer == kKubeletClientSigner ||
         signer == kKubeletServingSigner || signer == kNodeSigner || signer == kLegacySigner;
}

bool has(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// As a TLS client matches the server's certificate: in any case, and "*." stands for one label.
bool is_name_of_server(const std::vector<std::string>& server_names, std::string_view name) {
  return std::any_of(server_names.begin(), server_names.end(), [name](const std::string& entry) {
    std::string own = base::lower(entry);
    if (!own.starts_with("*.")) return own == name;
    size_t dot = name.find('.');
    return dot != std::string_view::npos && name.substr(dot) == std::string_view(own).substr(1);
  });
}

// Names and addresses of a node are its own: not the API server's, not another node's. What is
// signed here is believed by the whole cluster.
std::string foreign_objection(const ControllerContext& context, const SigningRequestInfo& asked,
                              const std::vector<std::string>& server_names) {
  std::string node = node_of(asked);
  if (is_name_of_server(server_names, node)) {
    return fmt::format("\"{}\" is a name of the API server: join with another --node-name", node);
  }
  for (const std::string& name : asked.dns_names) {
    if (name != node) return fmt::format("\"{}\" is not the node's name", name);
  }
  for (const std::string& ip : asked.ip_addresses) {
    if (has(server_names, ip)) return fmt::format("{} is an address of the API server", ip);
  }
  std::string taken;
  context.cache.for_each(kNodes.key(), "", [&](const ObjectRef& other) {
    if (other->name.name == node) return true;
    json::Value object = api::decode(*other);
    // A machine that is off keeps no other from an address that it was given.
    if (!api::condition_is(object["status"]["conditions"], "Ready", "True")) return true;
    for (const json::Value& a : object["status"]["addresses"].elements()) {
      if (!has(asked.ip_addresses, a["address"].as_string())) continue;
      taken = fmt::format("{} is an address of node \"{}\"", a["address"].as_string(),
                          other->name.name);
    }
    return taken.empty();
  });
  return taken;
}

}  // namespace

std::string signer_objection(const std::string& signer, const SigningRequestInfo& asked,
                             const std::vector<std::string>& usages) {
  if (signer == kKubeletClientSigner)
    return node_client_objection(asked, usages, {kNodeUsersGroup});
  if (signer == kNodeSigner) {
    return node_client_objection(asked, usages, {kNodeUsersGroup, kNodesGroup});
  }
  if (signer == kKubeletServingSigner) return kubelet_serving_objection(asked, usages);
  if (signer == kApiserverClientSigner) return client_objection(usages);
  return {};
}

CertificateApprover::CertificateApprover(const ControllerContext& context,
                                         std::vector<std::string> server_names)
    : Controller(context, "csrapproving"), server_names_(std::move(server_names)) {}

void CertificateApprover::on_change(const GroupResource& resource, const ObjectRef& previous,
                                    const ObjectRef& object) {
  if (resource.resource == kNodes.plural) {
    // It is free again.
    if (object == nullptr) let_in_.erase(previous->name.name);
  } else if (object != nullptr) {
    enqueue(object->name);
  }
}

std::string CertificateApprover::taken_objection(const SigningRequestInfo& asked) const {
  std::string name = node_of(asked), key;
  if (ObjectRef node = context_.get(kNodes, {"", name})) {
    key = api::decode(*node)["metadata"]["annotations"][kNodeKeyAnnotation].text();
  } else if (auto coming = let_in_.find(name);
             coming != let_in_.end() && coming->second.until_ms > context_.clock.monotonic_ms()) {
    key = coming->second.key;
  }
  if (key.empty() || key == asked.key_fingerprint) return {};
  return fmt::format(
      "there is a node \"{0}\" already, and this machine's key is not its key: join with another "
      "--node-name, or, if that node is gone for good, run `kubectl delete node {0}`",
      name);
}

void CertificateApprover::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kSigningRequests, key);
  if (object == nullptr) return;
  json::Value request = api::decode(*object);
  std::string signer = request["spec"]["signerName"].text();
  bool client = signer == kKubeletClientSigner || signer == kNodeSigner;
  if (!client && signer != kKubeletServingSigner) return;
  if (!request["status"]["certificate"].is_null() || has_condition(request, "Approved") ||
      has_condition(request, "Denied")) {
    return;
  }
  auto asked = asked_by(request);
  if (!asked.ok() || !signer_objection(signer, *asked, usages_of(request)).empty()) return;
  bool own = request["spec"]["username"].as_string() == asked->common_name;
  if (!client && !own) return;
  if (std::string why = foreign_objection(context_, *asked, server_names_); !why.empty()) {
    return answer(pass, std::move(request), "Denied", "ForeignName", why);
  }
  if (std::string why = taken_objection(*asked); !why.empty()) {
    return answer(pass, std::move(request), "Denied", "NodeNameTaken", why);
  }
  if (!client) {
    return answer(pass, std::move(request), "Approved", "AutoApproved",
                  "Auto approving a node's own serving certificate.");
  }
  review(pass, request, own, true);
}

// Asks whether the requester may have it as his own, then whether as any node's.
void CertificateApprover::review(const PassRef& pass, const json::Value& request, bool own,
                                 bool then_any) {
  const json::Value& spec = request["spec"];
  json::Value attributes =
      json::Value::object({{"group", "certificates.k8s.io"},
                           {"resource", "certificatesigningrequests"},
                           {"verb", "create"},
                           {"subresource", own ? "selfnodeclient" : "nodeclient"},
                           {"version", "*"}});
  json::Value ask = json::Value::object(
      {{"user", spec["username"]}, {"resourceAttributes", std::move(attributes)}});
  for (const char* member : {"uid", "groups", "extra"}) {
    if (spec.has(member)) ask.set(member, spec[member]);
  }
  json::Value body = json::Value::object({{"apiVersion", "authorization.k8s.io/v1"},
                                          {"kind", "SubjectAccessReview"},
                                          {"spec", std::move(ask)}});
  pass->write(
      {client::Verb::kCreate,
       {"authorization.k8s.io", "v1", "subjectaccessreviews", "", "", ""},
       json::write(body),
       {},
       {}},
      [this, pass, request, own, then_any](Result<ObjectRef> review) {
        if (!review.ok()) return pass->fail(review.error());
        if (api::decode(**review)["status"]["allowed"].as_bool()) {
          return let_in(pass, request, own);
        }
        if (own && then_any) return this->review(pass, request, false, false);
        // Roles may be on their way, or somebody approves by hand: asked again, ever later.
        pass->fail(make_error(Code::kForbidden,
                              fmt::format("recognized csr {} as a node's client certificate "
                                          "but subject access review was not approved",
                                          request["metadata"]["name"].as_string())));
      });
}

// Another may have been let in while this one's rights were looked at.
void CertificateApprover::let_in(const PassRef& pass, const json::Value& request, bool own) {
  auto asked = asked_by(request);
  if (!asked.ok()) return pass->fail(asked.error());
  if (std::string why = taken_objection(*asked); !why.empty()) {
    return answer(pass, request, "Denied", "NodeNameTaken", why);
  }
  int64_t now = context_.clock.monotonic_ms();
  std::erase_if(let_in_, [now](const auto& entry) { return entry.second.until_ms <= now; });
  let_in_[node_of(*asked)] = {asked->key_fingerprint, now + kComingMs};
  answer(pass, request, "Approved", "AutoApproved",
         own ? "Auto approving self kubelet client certificate after SubjectAccessReview."
             : "Auto approving kubelet client certificate after SubjectAccessReview.");
}

void CertificateApprover::answer(const PassRef& pass, json::Value request, const char* type,
                                 const char* reason, const std::string& message) {
  request.member("status")
      .member("conditions")
      .push_back(json::Value::object(
          {{"type", type}, {"status", "True"}, {"reason", reason}, {"message", message}}));
  pass->write(update_request(kSigningRequests, request, "approval"));
}

CertificateSigner::CertificateSigner(const ControllerContext& context, net::KeyPair ca)
    : Controller(context, "csrsigning"), ca_(std::move(ca)) {}

void CertificateSigner::on_change(const GroupResource&, const ObjectRef&, const ObjectRef& object) {
  if (object != nullptr) enqueue(object->name);
}

void CertificateSigner::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kSigningRequests, key);
  if (object == nullptr || ca_.key.empty()) return;
  json::Value request = api::decode(*object);
  std::string signer = request["spec"]["signerName"].text();
  if (!is_own_signer(signer) || !request["status"]["certificate"].as_string().empty() ||
      !has_condition(request, "Approved") || has_condition(request, "Denied") ||
      has_condition(request, "Failed")) {
    return;
  }
  auto asked = asked_by(request);
  std::string objection =
      asked.ok() ? signer_objection(signer, *asked, usages_of(request)) : asked.error().message;
  json::Value& status = request.member("status");
  if (!objection.empty()) {
    status.member("conditions")
        .push_back(json::Value::object({{"type", "Failed"},
                                        {"status", "True"},
                                        {"reason", "SignerValidationFailure"},
                                        {"message", objection}}));
    return pass->write(update_request(kSigningRequests, request, "status"));
  }
  int64_t now = now_us() / kSecondUs;
  int64_t lifetime = request["spec"]["expirationSeconds"].as_int(kMostSeconds);
  lifetime = std::clamp(lifetime, kLeastSeconds, kMostSeconds);
  auto pem = base::base64_decode(request["spec"]["request"].as_string());
  auto signed_pem = sign_request(
      ca_, *pem, {usages_of(request), now - kBackdateSeconds, now + lifetime - kBackdateSeconds});
  if (!signed_pem.ok()) return pass->fail(signed_pem.error());
  status.set("certificate", base::base64_encode(*signed_pem));
  pass->write(update_request(kSigningRequests, request, "status"));
}

namespace {

// When the request is to go.
int64_t goes_at(const json::Value& request) {
  int64_t due = api::creation_time(request) + 24 * kHourUs;
  for (const json::Value& c : request["status"]["conditions"].elements()) {
    int64_t told = api::time_field(c, "lastUpdateTime");
    if (told == 0) told = api::creation_time(request);
    std::string_view type = c["type"].as_string();
    bool issued = !request["status"]["certificate"].as_string().empty();
    if (type == "Denied" || type == "Failed" || (type == "Approved" && issued)) {
      due = told + kHourUs;
    }
  }
  auto pem = base::base64_decode(request["status"]["certificate"].as_string());
  if (pem.ok() && !pem->empty()) {
    auto info = net::read_certificate(*pem);
    if (info.ok()) due = std::min(due, info->not_after_seconds * kSecondUs);
  }
  return due;
}

}  // namespace

CertificateCleaner::CertificateCleaner(const ControllerContext& context)
    : Controller(context, "csrcleaner") {}

void CertificateCleaner::on_change(const GroupResource&, const ObjectRef&,
                                   const ObjectRef& object) {
  if (object != nullptr) enqueue(object->name);
}

void CertificateCleaner::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kSigningRequests, key);
  if (object == nullptr || object->deleting) return;
  int64_t left = goes_at(api::decode(*object)) - now_us();
  if (left > 0) return pass->again_after_ms(left / 1000 + 1);
  pass->remove(delete_request(kSigningRequests, key, object->uid));
}

}  // namespace knarr::server
