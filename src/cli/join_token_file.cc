#include "cli/join_token_file.h"

#include <unistd.h>

#include "agent/join/join_token.h"
#include "api/view/meta.h"
#include "base/base64.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "knarr/names.h"
#include "net/pki.h"

namespace knarr::cli {

namespace {

client::Target target(const char* name) {
  return {"", "v1", "secrets", kSystemNamespace, name, ""};
}

std::string random_secret(Random& random) {
  return fmt::format("{:016x}{:016x}", random.next(), random.next());
}

}  // namespace

JoinTokenFile::JoinTokenFile(client::Client& client, Random& random, Options options)
    : client_(client), random_(random), options_(std::move(options)) {
  watch_ = client_.watch(
      {"", "v1", "secrets", kSystemNamespace, "", std::string("metadata.name=") + kJoinTokenSecret},
      *this);
}

void JoinTokenFile::on_upsert(const ObjectRef& secret) {
  auto token = base::base64_decode(api::decode(*secret)["data"]["token"].as_string());
  if (!token.ok() || token->empty()) return;
  now_ = *token;
  write(now_);
}

void JoinTokenFile::on_synced() {
  if (now_.empty()) {
    store(options_.wanted.empty() ? random_secret(random_) : options_.wanted,
          client::Verb::kCreate);
  } else if (!options_.wanted.empty() && options_.wanted != now_) {
    store(options_.wanted, client::Verb::kPatch);
  }
}

void JoinTokenFile::store(const std::string& secret, client::Verb verb) {
  json::Value object = json::Value::object(
      {{"apiVersion", "v1"},
       {"kind", "Secret"},
       {"metadata",
        json::Value::object({{"name", kJoinTokenSecret}, {"namespace", kSystemNamespace}})},
       {"data", json::Value::object({{"token", base::base64_encode(secret)}})}});
  client::Request request;
  request.verb = verb;
  request.patch_type = client::PatchType::kMerge;
  request.target = target(verb == client::Verb::kCreate ? "" : kJoinTokenSecret);
  request.body = json::write(object);
  client_.call(std::move(request), [](const Result<ObjectRef>& stored) {
    if (stored.ok() || stored.error().code == Code::kAlreadyExists) return;
    base::log(base::Level::kError, "server", "the join token: {}", stored.error().message);
  });
}

void JoinTokenFile::write(const std::string& secret) {
  std::string path = options_.folder + "/token";
  std::string text = agent::format_join_token({net::fingerprint(options_.ca_pem), secret}) + "\n";
  if (auto before = base::read_file(path); before.ok() && *before == text) return;
  auto written = base::write_file(path, text, 0600);
  if (!written.ok()) {
    return base::log(base::Level::kError, "server", "{}", written.error().message);
  }
  // The name that k3s' users look for.
  std::string link = options_.folder + "/node-token";
  unlink(link.c_str());
  if (symlink("token", link.c_str()) != 0) {
    base::log(base::Level::kWarning, "server", "{}", errno_error(errno, link).message);
  }
}

}  // namespace knarr::cli
