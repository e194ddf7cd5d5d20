#include "cli/join_token_file.h"

#include <limits.h>
#include <unistd.h>

#include <cstdio>

#include "agent/join/join_token.h"
#include "agent/remote/remote_watch.h"
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

// Whoever reads by the link meanwhile finds the old one or the new one.
Result<void> point(const std::string& link, const std::string& target) {
  char now[PATH_MAX];
  ssize_t size = readlink(link.c_str(), now, sizeof now);
  if (size >= 0 && target == std::string_view(now, static_cast<size_t>(size))) return {};
  std::string next = link + ".new";
  unlink(next.c_str());
  if (symlink(target.c_str(), next.c_str()) != 0) return errno_error(errno, next);
  if (rename(next.c_str(), link.c_str()) != 0) return errno_error(errno, link);
  return {};
}

}  // namespace

JoinTokenFile::JoinTokenFile(Clock& clock, client::Client& client, Random& random, Options options)
    : client_(client),
      random_(random),
      options_(std::move(options)),
      retry_(clock.timer([this] { ensure(); })) {
  watch_ = client_.watch(
      {"", "v1", "secrets", kSystemNamespace, "", std::string("metadata.name=") + kJoinTokenSecret},
      *this);
}

void JoinTokenFile::on_upsert(const ObjectRef& secret) {
  auto token = base::base64_decode(api::decode(*secret)["data"]["token"].as_string());
  if (!token.ok() || token->empty()) return;
  now_ = *token;
  if (options_.wanted.empty() || options_.wanted == now_) settled_ = true;
  write(now_);
}

// Machines that have not joined yet were told the old one: it is made again as it was.
void JoinTokenFile::on_delete(const ObjectRef&) {
  if (now_.empty()) return;
  std::string gone = std::exchange(now_, "");
  if (settled_) last_ = gone;
  ensure();
}

void JoinTokenFile::ensure() {
  if (now_.empty()) {
    if (last_.empty()) last_ = options_.wanted.empty() ? random_secret(random_) : options_.wanted;
    store(last_, client::Verb::kCreate);
  } else if (!settled_) {
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
  client_.call(std::move(request),
               [this, alive = std::weak_ptr<bool>(alive_)](const Result<ObjectRef>& stored) {
                 if (alive.expired()) return;
                 if (!stored.ok() && stored.error().code != Code::kAlreadyExists) {
                   return failed(stored.error());
                 }
                 failures_ = 0;
               });
}

void JoinTokenFile::failed(const Error& error) {
  failures_++;
  base::log(base::Level::kError, "server", "the join token: {}", error.message);
  retry_->start(agent::retry_delay_ms(failures_ + 1, random_));
}

void JoinTokenFile::write(const std::string& secret) {
  std::string path = options_.folder + "/token";
  std::string text = agent::format_join_token({net::fingerprint(options_.ca_pem), secret}) + "\n";
  if (auto before = base::read_file(path); !before.ok() || *before != text) {
    auto written = base::write_file(path, text, 0600);
    if (!written.ok()) {
      return base::log(base::Level::kError, "server", "{}", written.error().message);
    }
  }
  // The name that k3s' users look for.
  if (auto linked = point(options_.folder + "/node-token", "token"); !linked.ok()) {
    base::log(base::Level::kWarning, "server", "{}", linked.error().message);
  }
}

}  // namespace knarr::cli
