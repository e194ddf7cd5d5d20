#include "cli/kubectl/resources.h"

#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/manifest.h"

namespace knarr::kubectl {

namespace {

std::string word_list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// Every object of a resource that the selectors let through.
Result<void> select_listed(Session& session, const Flags& flags, const ApiResource& resource,
                           Selection& selection) {
  ApiAsk ask;
  ask.path = resource.path(flags.yes("all-namespaces") ? "" : session.ns());
  ask.query = selector_query(flags);
  TRY_ASSIGN(ApiClient * api, session.api());
  TRY_ASSIGN(json::Value list, api->list(ask));
  std::string kind = resource.kind;
  for (json::Value& item : list.member("items").elements()) {
    // Items of a list say neither version nor kind.
    json::Value object =
        json::Value::object({{"apiVersion", resource.api_version()}, {"kind", kind}});
    for (auto [key, value] : item.members()) object.set(key, std::move(value));
    std::string ns = object["metadata"]["namespace"].text();
    std::string name = object["metadata"]["name"].text();
    selection.targets.push_back({&resource, ns, name, std::move(object), ""});
  }
  return {};
}

Result<void> select_files(Session& session, const Flags& flags, const SelectOptions& options,
                          Selection& selection) {
  TRY_ASSIGN(std::vector<Manifest> manifests, read_manifests(session, flags));
  for (Manifest& manifest : manifests) {
    auto target = target_of(session, manifest);
    if (target.ok() && options.fetch) {
      TRY_ASSIGN(ApiClient * api, session.api());
      ApiAsk ask;
      ask.path = target->path();
      auto object = api->call(ask);
      if (object.ok()) {
        target->object = std::move(*object);
      } else {
        target = object.error();
      }
    }
    if (target.ok()) {
      selection.targets.push_back(std::move(*target));
    } else {
      selection.status = report(target.error());
    }
  }
  return {};
}

}  // namespace

Result<std::vector<ResourceArg>> parse_resource_args(const std::vector<std::string>& words) {
  std::vector<ResourceArg> args;
  bool slashes = false;
  for (const std::string& word : words) slashes = slashes || word.find('/') != std::string::npos;
  if (slashes) {
    for (const std::string& word : words) {
      size_t slash = word.find('/');
      if (slash == std::string::npos) {
        return bad(
            "there is no need to specify a resource type as a separate argument when passing "
            "arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead "
            "of 'kubectl get resource resource/<resource_name>'");
      }
      std::string type = word.substr(0, slash);
      std::string name = word.substr(slash + 1);
      if (type.empty() || name.empty() || name.find('/') != std::string::npos) {
        return bad("arguments in resource/name form must have a single resource and name");
      }
      for (std::string& one : split(type, ',')) args.push_back({std::move(one), name});
    }
    return args;
  }
  if (words.empty()) return args;
  for (std::string& type : split(words[0], ',')) {
    if (type.empty()) continue;
    if (words.size() == 1) args.push_back({type, ""});
    for (size_t i = 1; i < words.size(); i++) args.push_back({type, words[i]});
  }
  return args;
}

net::Query selector_query(const Flags& flags) {
  net::Query query;
  if (flags.has("selector")) query.add("labelSelector", flags.text("selector"));
  if (flags.has("field-selector")) query.add("fieldSelector", flags.text("field-selector"));
  return query;
}

Result<Selection> select_targets(Session& session, const Flags& flags,
                                 const std::vector<std::string>& words,
                                 const SelectOptions& options) {
  Selection selection;
  if (flags.has("filename")) {
    TRY(select_files(session, flags, options, selection));
    return selection;
  }
  if (words.empty()) {
    return bad(
        "You must provide one or more resources by argument or filename.\n"
        "Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n"
        "   '<resource> <name>'\n   '<resource>'");
  }
  TRY_ASSIGN(std::vector<ResourceArg> args, parse_resource_args(words));
  TRY_ASSIGN(const Catalogue* catalogue, session.catalogue());
  bool selecting = flags.yes("all") || flags.has("selector") || flags.has("field-selector");
  for (const ResourceArg& arg : args) {
    TRY_ASSIGN(std::vector<const ApiResource*> resources, catalogue->resolve(arg.type));
    for (const ApiResource* resource : resources) {
      if (arg.name.empty()) {
        if (options.need_names && !selecting) {
          return bad("resource(s) were provided, but no name was specified");
        }
        TRY(select_listed(session, flags, *resource, selection));
        continue;
      }
      if (selecting && (flags.has("selector") || flags.yes("all"))) {
        return bad(flags.yes("all") ? "setting 'all' parameter but found a non empty selector. "
                                    : "name cannot be provided when a selector is specified");
      }
      Target target{resource, resource->namespaced ? session.ns() : "", arg.name, {}, ""};
      if (options.fetch) {
        TRY_ASSIGN(ApiClient * api, session.api());
        ApiAsk ask;
        ask.path = target.path();
        auto object = api->call(ask);
        if (!object.ok()) {
          if (object.error().code == Code::kNotFound && flags.yes("ignore-not-found")) continue;
          if (object.error().details == nullptr || options.fail_early) return object.error();
          selection.status = report(object.error());
          continue;
        }
        target.object = std::move(*object);
      }
      selection.targets.push_back(std::move(target));
    }
  }
  return selection;
}

Result<Target> select_one(Session& session, const Flags& flags,
                          const std::vector<std::string>& words, const std::string& verb) {
  if (words.empty() && !flags.has("filename")) {
    return usage_error(verb, "required resource not specified");
  }
  TRY_ASSIGN(std::vector<ResourceArg> args, parse_resource_args(words));
  if (args.size() != 1 || args[0].name.empty()) {
    return bad(fmt::format("{} takes one resource and name, not \"{}\"", verb, word_list(words)));
  }
  TRY_ASSIGN(const ApiResource* resource, session.resource(args[0].type));
  Target target{resource, resource->namespaced ? session.ns() : "", args[0].name, {}, ""};
  TRY_ASSIGN(ApiClient * api, session.api());
  ApiAsk ask;
  ask.path = target.path();
  TRY_ASSIGN(target.object, api->call(ask));
  return target;
}

}  // namespace knarr::kubectl
