#include "server/controllers/token_secret.h"

#include "api/view/meta.h"
#include "base/base64.h"

namespace knarr::server {

namespace {

constexpr const char* kType = "kubernetes.io/service-account-token";
constexpr const char* kName = "kubernetes.io/service-account.name";
constexpr const char* kUid = "kubernetes.io/service-account.uid";

bool is_token_secret(const Object& secret) {
  return secret.json.find(kType) != std::string::npos &&
         api::decode(secret)["type"].as_string() == kType;
}

}  // namespace

TokenSecretController::TokenSecretController(const ControllerContext& context, TokenIssuer& tokens,
                                             std::string ca_pem)
    : Controller(context, "serviceaccount-token-controller"),
      tokens_(tokens),
      ca_base64_(base::base64_encode(ca_pem)) {}

std::vector<GroupResource> TokenSecretController::watches() const {
  return {kSecrets.key(), kServiceAccounts.key()};
}

void TokenSecretController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                      const ObjectRef& object) {
  if (resource.resource == kSecrets.plural) {
    if (object != nullptr && is_token_secret(*object)) enqueue(object->name);
    return;
  }
  // An account that came or went; what changes in it does not matter here.
  if (previous != nullptr && object != nullptr && previous->uid == object->uid) return;
  const ObjectRef& account = object ? object : previous;
  context_.cache.for_each(kSecrets.key(), account->name.ns, [&](const ObjectRef& secret) {
    if (is_token_secret(*secret)) enqueue(secret->name);
    return true;
  });
}

void TokenSecretController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kSecrets, key);
  if (object == nullptr || object->deleting) return;
  json::Value secret = api::decode(*object);
  if (secret["type"].as_string() != kType) return;
  const json::Value& notes = secret["metadata"]["annotations"];
  std::string name = notes[kName].text();
  ObjectRef account = context_.get(kServiceAccounts, {key.ns, name});
  bool other = account != nullptr && notes.has(kUid) && notes[kUid].as_string() != account->uid;
  if (account == nullptr || other) {
    return pass->remove(delete_request(kSecrets, key, object->uid));
  }
  json::Value changed = secret;
  json::Value& data = changed.member("data");
  if (!(data["ca.crt"] == ca_base64_)) data.set("ca.crt", ca_base64_);
  if (data["namespace"].as_string().empty()) data.set("namespace", base::base64_encode(key.ns));
  if (data["token"].as_string().empty()) {
    TokenSubject subject;
    subject.ns = key.ns;
    subject.service_account = name;
    subject.service_account_uid = account->uid;
    subject.bound_kind = "Secret";
    subject.bound_name = key.name;
    subject.bound_uid = object->uid;
    auto token = tokens_.issue_for_secret(subject);
    if (!token.ok()) return pass->fail(token.error());
    data.set("token", base::base64_encode(*token));
  }
  changed.member("metadata").member("annotations").set(kUid, account->uid);
  if (changed == secret) return;
  pass->write(update_request(kSecrets, changed));
}

}  // namespace knarr::server
