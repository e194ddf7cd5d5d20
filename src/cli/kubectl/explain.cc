// explain: what a resource and its fields are, as the server's OpenAPI documents say.
#include "cli/kubectl/explain_text.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kExplain[] = {
    bool_flag("recursive", 0, "names and types of everything below"),
    text_flag("api-version", 0, "group and version of the resource"),
};

}  // namespace

const std::span<const FlagSpec> kExplainFlags = kExplain;

Result<int> explain_verb(Session& session, const Flags& flags) {
  if (flags.words.size() != 1) {
    return usage_error("explain", "You must specify the type of resource to explain.");
  }
  std::vector<std::string> path = split(flags.words[0], '.');
  TRY_ASSIGN(const ApiResource* resource, session.resource(path[0]));
  ExplainOptions options;
  options.group = resource->group;
  options.version = resource->version;
  if (std::string wanted = flags.text("api-version"); !wanted.empty()) {
    TRY_ASSIGN(resource, session.kind(wanted, resource->kind));
    options.group = resource->group;
    options.version = resource->version;
  }
  options.kind = resource->kind;
  options.fields.assign(path.begin() + 1, path.end());
  options.recursive = flags.yes("recursive");
  TRY_ASSIGN(ApiClient * api, session.api());
  ApiAsk ask;
  ask.path = options.group.empty() ? "/openapi/v3/api/" + options.version
                                   : "/openapi/v3/apis/" + options.group + "/" + options.version;
  TRY_ASSIGN(json::Value document, api->call(ask));
  TRY_ASSIGN(std::string text, explain_text(document, options));
  print(text);
  return 0;
}

}  // namespace knarr::kubectl
