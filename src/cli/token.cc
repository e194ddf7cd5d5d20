// knarr token create | list | delete | generate | rotate: what machines join with. Bootstrap tokens
// are Secrets in kube-system, as kubeadm makes them; they run out. The server's own token does not,
// and is what rotate changes.
#include <cstdio>

#include "agent/join/join_token.h"
#include "api/duration.h"
#include "base/base64.h"
#include "base/format.h"
#include "base/loop.h"
#include "base/random.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/kubectl/api_client.h"
#include "cli/kubectl/tab_writer.h"
#include "knarr/names.h"
#include "net/pki.h"

namespace knarr::cli {

namespace {

constexpr const char* kSecrets = "/api/v1/namespaces/kube-system/secrets";
constexpr const char* kNamePrefix = "bootstrap-token-";

struct TokenOptions {
  std::string kubeconfig = "/etc/knarr/knarr.yaml";
  std::string ttl = "24h";
  std::string description;
  std::vector<std::string> groups = {"system:bootstrappers:knarr:default-node-token"};
  std::string new_token;
};

FlagSet token_flags(TokenOptions& o) {
  FlagSet f("knarr token create [TOKEN] | list | delete ID... | generate | rotate",
            "The tokens that machines join with.\n"
            "  create    a token that runs out, printed whole: what `knarr agent --token` wants\n"
            "  list      those there are, without their secrets\n"
            "  delete    some of them, by id or whole\n"
            "  generate  prints a token and stores nothing\n"
            "  rotate    another server token (<data-dir>/server/token); the old one ends");
  f.text("kubeconfig", o.kubeconfig, "FILE", "the administrator's kubeconfig");
  f.text("ttl", o.ttl, "DURATION", "how long a new token is good for; 0: forever");
  f.text("description", o.description, "TEXT", "what a new token is for");
  f.list("groups", o.groups, "GROUP", "further groups of who uses a new token");
  f.text("new-token", o.new_token, "TOKEN", "rotate to this one, not to one by chance");
  return f;
}

int64_t now_us() {
  base::Loop loop;
  return loop.now_us();
}

std::string random_text(size_t size) {
  constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyz";
  base::SystemRandom random;
  std::string text;
  while (text.size() < size) text += kLetters[random.below(kLetters.size())];
  return text;
}

std::string generate_token() { return random_text(6) + "." + random_text(16); }

struct Server {
  kubectl::ClientConfig config;
  std::unique_ptr<kubectl::ApiClient> api;
};

Result<Server> open_server(const TokenOptions& options) {
  kubectl::ConfigOverrides overrides;
  overrides.kubeconfig = options.kubeconfig;
  TRY_ASSIGN(json::Value config, kubectl::read_kubeconfigs(overrides));
  Server server;
  TRY_ASSIGN(server.config, kubectl::client_config(config, overrides));
  TRY_ASSIGN(auto session, kubectl::HttpSession::open(server.config));
  server.api = std::make_unique<kubectl::ApiClient>(std::move(session));
  return server;
}

// Without the authority's hash when the kubeconfig does not say which it is.
std::string whole_token(const Server& server, const std::string& secret) {
  if (server.config.ca_pem.empty()) return secret;
  return agent::format_join_token({net::fingerprint(server.config.ca_pem), secret});
}

// "abcdef" of an id, a bootstrap token or a whole one.
std::string id_of(const std::string& text) {
  auto token = agent::parse_join_token(text);
  std::string secret = token.ok() ? token->secret : text;
  return secret.substr(0, secret.find('.'));
}

Result<void> create(const TokenOptions& options, const Args& words) {
  auto asked = agent::parse_join_token(words.size() > 1 ? words[1] : generate_token());
  if (!asked.ok() || !agent::is_bootstrap_token(asked->secret)) {
    return make_error(Code::kBadRequest, "a token is six letters or digits, a dot, and sixteen");
  }
  TRY_ASSIGN(int64_t ttl_ns, api::parse_duration(options.ttl));
  std::string id = id_of(asked->secret);
  json::Value data = json::Value::object({{"token-id", id},
                                          {"token-secret", asked->secret.substr(id.size() + 1)},
                                          {"usage-bootstrap-authentication", "true"}});
  std::string groups;
  for (const std::string& group : options.groups) groups += (groups.empty() ? "" : ",") + group;
  if (!groups.empty()) data.set("auth-extra-groups", groups);
  if (!options.description.empty()) data.set("description", options.description);
  if (ttl_ns > 0) data.set("expiration", base::format_time(now_us() + ttl_ns / 1000));
  json::Value secret =
      json::Value::object({{"apiVersion", "v1"},
                           {"kind", "Secret"},
                           {"metadata", json::Value::object({{"name", kNamePrefix + id}})},
                           {"type", "bootstrap.kubernetes.io/token"},
                           {"stringData", std::move(data)}});
  TRY_ASSIGN(Server server, open_server(options));
  kubectl::ApiAsk ask;
  ask.method = "POST";
  ask.path = kSecrets;
  ask.body = json::write(secret);
  TRY(server.api->call(ask));
  std::printf("%s\n", whole_token(server, asked->secret).c_str());
  return {};
}

std::string data_of(const json::Value& secret, const char* key) {
  auto text = base::base64_decode(secret["data"][key].as_string());
  return text.ok() ? *text : std::string();
}

Result<void> list(const TokenOptions& options) {
  TRY_ASSIGN(Server server, open_server(options));
  kubectl::ApiAsk ask;
  ask.path = kSecrets;
  ask.query.add("fieldSelector", "type=bootstrap.kubernetes.io/token");
  TRY_ASSIGN(json::Value secrets, server.api->list(ask));
  std::string text = "TOKEN\tTTL\tEXPIRES\tDESCRIPTION\tEXTRA GROUPS\n";
  for (const json::Value& secret : secrets["items"].elements()) {
    std::string expires = data_of(secret, "expiration");
    auto at = base::parse_time(expires);
    int64_t left = at.ok() ? *at - now_us() : 0;
    std::string ttl = !at.ok() ? "<forever>" : left > 0 ? api::human_duration(left) : "<expired>";
    text += fmt::format("{}\t{}\t{}\t{}\t{}\n", data_of(secret, "token-id"), ttl,
                        expires.empty() ? "<never>" : expires, data_of(secret, "description"),
                        data_of(secret, "auth-extra-groups"));
  }
  std::fputs(kubectl::set_in_columns(text).c_str(), stdout);
  return {};
}

Result<void> remove(const TokenOptions& options, const Args& words) {
  if (words.size() < 2) return make_error(Code::kBadRequest, "delete wants the id of a token");
  TRY_ASSIGN(Server server, open_server(options));
  for (size_t i = 1; i < words.size(); i++) {
    std::string id = id_of(words[i]);
    kubectl::ApiAsk ask;
    ask.method = "DELETE";
    ask.path = fmt::format("{}/{}{}", kSecrets, kNamePrefix, net::percent_encode_path(id));
    TRY(server.api->call(ask));
    std::printf("bootstrap token \"%s\" deleted\n", id.c_str());
  }
  return {};
}

Result<void> rotate(const TokenOptions& options) {
  TRY_ASSIGN(
      agent::JoinToken wanted,
      agent::parse_join_token(options.new_token.empty() ? random_text(32) : options.new_token));
  TRY_ASSIGN(Server server, open_server(options));
  kubectl::ApiAsk ask;
  ask.method = "PATCH";
  ask.path = std::string(kSecrets) + "/" + kJoinTokenSecret;
  ask.content_type = kubectl::kMergePatch;
  ask.body = json::write(json::Value::object(
      {{"data", json::Value::object({{"token", base::base64_encode(wanted.secret)}})}}));
  TRY(server.api->call(ask));
  std::printf("%s\n", whole_token(server, wanted.secret).c_str());
  return {};
}

Result<void> run(const TokenOptions& options, const Args& words) {
  std::string verb = words.empty() ? "" : words[0];
  if (verb == "create") return create(options, words);
  if (verb == "list") return list(options);
  if (verb == "delete") return remove(options, words);
  if (verb == "rotate") return rotate(options);
  if (verb == "generate") {
    std::printf("%s\n", generate_token().c_str());
    return {};
  }
  return make_error(
      Code::kBadRequest,
      "want create, list, delete, generate or rotate; `knarr token --help` says more");
}

}  // namespace

int token_command(const Args& args) {
  TokenOptions options;
  FlagSet flags = token_flags(options);
  Args words;
  auto read = flags.parse(args, words);
  if (auto status = flags.settled(read)) return *status;
  auto done = run(options, words);
  if (done.ok()) return 0;
  return fail(done.error().message) + (done.error().code == Code::kBadRequest ? 1 : 0);
}

}  // namespace knarr::cli
