// The verbs that tell of the server and the client: version, cluster-info, api-resources,
// api-versions, config.
#include <algorithm>
#include <tuple>

#include "api/codec/yaml.h"
#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/json_text.h"
#include "cli/kubectl/tab_writer.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kVersion[] = {
    bool_flag("client", 0, "of the client only"),
    text_flag("output", 'o', "json or yaml"),
};

constexpr FlagSpec kResources[] = {
    text_flag("output", 'o', "wide or name"),
    text_flag("api-group", 0, "only of this group"),
    bool_flag("namespaced", 0, "only those that are namespaced, or not"),
    list_flag("verbs", 0, "only those that have these verbs"),
    list_flag("categories", 0, "only those of these categories"),
    bool_flag("no-headers", 0, "no line of column names"),
    text_flag("sort-by", 0, "name or kind"),
    bool_flag("cached", 0, "taken, without effect"),
};

constexpr FlagSpec kConfig[] = {
    text_flag("output", 'o', "json or yaml"),
    bool_flag("raw", 0, "view: with secrets"),
    bool_flag("minify", 0, "view: taken, without effect"),
};

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& text : list) out += (out.empty() ? "" : ",") + text;
  return out;
}

bool is_asked_for(const ApiResource& resource, const Flags& flags) {
  if (flags.has("api-group") && resource.group != flags.text("api-group")) return false;
  if (flags.has("namespaced") && resource.namespaced != flags.yes("namespaced")) return false;
  for (const std::string& verb : flags.all("verbs")) {
    if (!resource.can(verb)) return false;
  }
  for (const std::string& category : flags.all("categories")) {
    if (std::find(resource.categories.begin(), resource.categories.end(), category) ==
        resource.categories.end()) {
      return false;
    }
  }
  return resource.preferred && !resource.verbs.empty();
}

// Secrets of a kubeconfig are not for the screen.
void hide_secrets(json::Value& config) {
  auto hide = [](json::Value& of, const char* key, const char* text) {
    if (of.has(key)) of.set(key, text);
  };
  for (json::Value& element : config.member("clusters").elements()) {
    hide(element.member("cluster"), "certificate-authority-data", "DATA+OMITTED");
  }
  for (json::Value& element : config.member("users").elements()) {
    json::Value& user = element.member("user");
    hide(user, "client-certificate-data", "DATA+OMITTED");
    hide(user, "client-key-data", "DATA+OMITTED");
    hide(user, "token", "REDACTED");
    hide(user, "password", "REDACTED");
  }
}

std::string contexts_text(const json::Value& config) {
  TabWriter writer(6, 3);
  writer.write("CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n");
  for (const json::Value& element : config["contexts"].elements()) {
    const json::Value& context = element["context"];
    bool current = element["name"] == config["current-context"];
    writer.write(fmt::format("{}\t{}\t{}\t{}\t{}\n", current ? "*" : "",
                             element["name"].as_string(), context["cluster"].as_string(),
                             context["user"].as_string(), context["namespace"].as_string()));
  }
  return writer.flush();
}

}  // namespace

const std::span<const FlagSpec> kVersionFlags = kVersion;
const std::span<const FlagSpec> kApiResourcesFlags = kResources;
const std::span<const FlagSpec> kConfigFlags = kConfig;

Result<int> version_verb(Session& session, const Flags& flags) {
  json::Value client = json::Value::object({{"gitVersion", session.version()}});
  json::Value all = json::Value::object({{"clientVersion", client}});
  std::string text = fmt::format("Client Version: {}\n", session.version());
  Result<json::Value> server = json::Value();
  if (!flags.yes("client")) {
    TRY_ASSIGN(ApiClient * api, session.api());
    ApiAsk ask;
    ask.path = "/version";
    server = api->call(ask);
    if (server.ok()) {
      all.set("serverVersion", *server);
      text += fmt::format("Server Version: {}\n", (*server)["gitVersion"].as_string());
    }
  }
  std::string form = flags.text("output");
  if (!form.empty() && form != "json" && form != "yaml") {
    return bad("--output must be 'yaml' or 'json'");
  }
  print(form == "json" ? indented_json(all) : form == "yaml" ? api::write_yaml(all) : text);
  return server.ok() ? 0 : report(server.error());
}

Result<int> cluster_info_verb(Session& session, const Flags&) {
  TRY_ASSIGN(ApiClient * api, session.api());
  ApiAsk ask;
  ask.path = "/api/v1/namespaces/kube-system/services";
  ask.query.add("labelSelector", "kubernetes.io/cluster-service=true");
  TRY_ASSIGN(json::Value services, api->call(ask));
  const std::string& server = session.config().server;
  std::string text = fmt::format("Kubernetes control plane is running at {}\n", server);
  for (const json::Value& service : services["items"].elements()) {
    const json::Value& metadata = service["metadata"];
    std::string name = metadata["labels"]["kubernetes.io/name"].text();
    if (name.empty()) name = metadata["name"].text();
    const json::Value& port = service["spec"]["ports"][0];
    std::string port_name = port["name"].is_string() ? ":" + port["name"].text() : "";
    text += fmt::format("{} is running at {}/api/v1/namespaces/kube-system/services/{}{}/proxy\n",
                        name, server, metadata["name"].as_string(), port_name);
  }
  print(text +
        "\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
  return 0;
}

Result<int> api_resources_verb(Session& session, const Flags& flags) {
  TRY_ASSIGN(const Catalogue* catalogue, session.catalogue());
  bool wide = flags.text("output") == "wide";
  bool names = flags.text("output") == "name";
  std::vector<const ApiResource*> resources;
  for (const ApiResource& resource : catalogue->all()) {
    if (is_asked_for(resource, flags)) resources.push_back(&resource);
  }
  bool by_kind = flags.text("sort-by") == "kind";
  std::stable_sort(resources.begin(), resources.end(), [&](const auto* a, const auto* b) {
    if (by_kind) return a->kind < b->kind;
    return std::tie(a->group, a->plural) < std::tie(b->group, b->plural);
  });
  TabWriter writer(6, 3);
  if (!flags.yes("no-headers") && !names) {
    writer.write(wide ? "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND\tVERBS\tCATEGORIES\n"
                      : "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND\n");
  }
  for (const ApiResource* r : resources) {
    if (names) {
      writer.write(r->plural + (r->group.empty() ? "" : "." + r->group) + "\n");
      continue;
    }
    std::string line = fmt::format("{}\t{}\t{}\t{}\t{}", r->plural, joined(r->short_names),
                                   r->api_version(), r->namespaced, r->kind);
    if (wide) line += fmt::format("\t{}\t{}", joined(r->verbs), joined(r->categories));
    writer.write(line + "\n");
  }
  print(writer.flush());
  return 0;
}

Result<int> api_versions_verb(Session& session, const Flags&) {
  TRY_ASSIGN(const Catalogue* catalogue, session.catalogue());
  std::vector<std::string> versions;
  for (const ApiResource& resource : catalogue->all()) versions.push_back(resource.api_version());
  std::sort(versions.begin(), versions.end());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  for (const std::string& version : versions) print(version + "\n");
  return 0;
}

Result<int> config_verb(Session&, const Flags& flags) {
  TRY_ASSIGN(json::Value config, read_kubeconfigs(config_overrides(flags)));
  std::string action = flags.words.empty() ? "" : flags.words[0];
  if (action == "view") {
    config.set("preferences", json::Value::object());
    if (!flags.yes("raw")) hide_secrets(config);
    print(flags.text("output") == "json" ? indented_json(config) : api::write_yaml(config));
    return 0;
  }
  if (action == "current-context") {
    if (config["current-context"].as_string().empty()) return bad("current-context is not set");
    print(config["current-context"].text() + "\n");
    return 0;
  }
  if (action == "get-contexts") {
    print(contexts_text(config));
    return 0;
  }
  return usage_error("config", fmt::format("unknown command \"{}\"", action));
}

}  // namespace knarr::kubectl
