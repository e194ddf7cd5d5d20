#include "api/openapi/operations.h"

#include <algorithm>

#include "api/openapi/names.h"
#include "base/format.h"
#include "knarr/check.h"

namespace knarr::api {
namespace {

const Type& meta_type(std::string_view name) {
  const Type* type = find_type("meta.k8s.io", "v1", name);
  CHECK(type != nullptr);
  return *type;
}

const std::vector<std::string_view> kObjects = {"application/json", "application/yaml",
                                                "application/vnd.kubernetes.protobuf"};
const std::vector<std::string_view> kStreams = {
    "application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"};
const std::vector<std::string_view> kPatches = {
    "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
const std::vector<std::string_view> kAnything = {"*/*"};

// Makes the paths of one resource.
class ResourcePaths {
 public:
  ResourcePaths(const OpenApiSource& source, const ResourceInfo& resource,
                std::vector<PathItem>& out)
      : source_(source),
        r_(resource),
        out_(out),
        base_(group_version_path(r_.group, r_.version)),
        scope_(r_.namespaced ? "/namespaces/{namespace}/" : "/"),
        word_(group_word(r_.group) + capitalised(r_.version)),
        noun_((r_.namespaced ? "Namespaced" : "") + std::string(r_.kind)) {}

  void add() {
    add_collection();
    add_item();
    if (r_.can(kVerbWatch)) add_watches();
    for (const Subresource& sub : r_.subresources) add_subresource(sub);
  }

 private:
  Operation start(std::string_view method, std::string id, std::string_view verb) {
    Operation op;
    op.method = method;
    op.id = std::move(id);
    op.tag = fmt::format("{}_{}", group_tag(r_.group), r_.version);
    op.action = method;
    op.group = r_.group;
    op.version = r_.version;
    op.kind = r_.kind;
    op.consumes = kAnything;
    op.produces = kObjects;
    op.parameters = verb_parameters(verb);
    return op;
  }

  void place(PathItem& item, Operation op) {
    auto add = [&](Parameter p) { op.parameters.push_back(std::move(p)); };
    if (item.path.find("{namespace}") != std::string::npos) {
      add(path_parameter("namespace", r_.kind));
    }
    if (item.path.find("{name}") != std::string::npos) add(path_parameter("name", r_.kind));
    if (item.path.find("{path}") != std::string::npos) add(path_parameter("path", r_.kind));
    if (op.action != "connect") add(pretty_parameter());
    std::stable_sort(op.parameters.begin(), op.parameters.end(),
                     [](const Parameter& a, const Parameter& b) { return a.name < b.name; });
    item.operations.push_back(std::move(op));
  }

  void finish(PathItem item) {
    if (!item.operations.empty()) out_.push_back(std::move(item));
  }

  static void answer(Operation& op, std::initializer_list<int> codes, const Type* type) {
    for (int code : codes) op.answers.push_back({code, {type, false}});
    op.answers.push_back({401, {nullptr, true}});
  }

  const Type* list_type() const { return find_type(r_.group, r_.version, r_.list_kind); }

  Operation list_operation(std::string id) {
    Operation op = start("get", std::move(id), "list");
    op.description = fmt::format("list or watch objects of kind {}", r_.kind);
    op.action = "list";
    op.produces = kStreams;
    answer(op, {200}, list_type());
    return op;
  }

  Operation create_operation(std::string id, const Type* body, std::string_view what) {
    Operation op = start("post", std::move(id), "create");
    op.description = fmt::format("create a {}", what);
    op.body = body;
    answer(op, {200, 201, 202}, body);
    return op;
  }

  void add_collection() {
    PathItem item{base_ + scope_ + std::string(r_.plural), {}};
    if (r_.can(kVerbDeleteCollection)) {
      std::string id = fmt::format("delete{}Collection{}", word_, noun_);
      Operation op = start("delete", std::move(id), "deletecollection");
      op.description = fmt::format("delete a collection of {}", r_.kind);
      op.action = "deletecollection";
      op.body = &meta_type("DeleteOptions");
      op.body_required = false;
      answer(op, {200}, &meta_type("Status"));
      place(item, std::move(op));
    }
    if (r_.can(kVerbList)) place(item, list_operation(fmt::format("list{}{}", word_, noun_)));
    if (r_.can(kVerbCreate)) {
      place(item, create_operation(fmt::format("create{}{}", word_, noun_), r_.type, r_.kind));
    }
    finish(std::move(item));
    if (r_.namespaced && r_.can(kVerbList)) {
      PathItem all{fmt::format("{}/{}", base_, r_.plural), {}};
      place(all, list_operation(fmt::format("list{}{}ForAllNamespaces", word_, r_.kind)));
      finish(std::move(all));
    }
  }

  void add_item() {
    PathItem item{base_ + scope_ + std::string(r_.plural) + "/{name}", {}};
    if (r_.can(kVerbDelete)) {
      Operation op = start("delete", fmt::format("delete{}{}", word_, noun_), "delete");
      op.description = fmt::format("delete one {}", r_.kind);
      op.body = &meta_type("DeleteOptions");
      op.body_required = false;
      bool object = source_.returns_deleted && source_.returns_deleted(r_);
      answer(op, {200, 202}, object ? r_.type : &meta_type("Status"));
      place(item, std::move(op));
    }
    add_object_verbs(item, "", r_.verbs, r_.type);
    finish(std::move(item));
  }

  // get, patch and put of an object or a subresource that is one.
  void add_object_verbs(PathItem& item, std::string_view suffix, uint16_t verbs, const Type* type,
                        const Subresource* sub = nullptr) {
    auto add = [&](std::string_view method, std::string_view prefix, std::string_view verb,
                   std::string_view text) {
      Operation op = start(method, fmt::format("{}{}{}{}", prefix, word_, noun_, suffix), verb);
      if (sub != nullptr) {
        op.group = sub->group;
        op.version = sub->version;
        op.kind = sub->kind;
      }
      std::string part = sub == nullptr ? "" : fmt::format("{} of the ", sub->name);
      op.description = fmt::format("{} the {}{}", text, part, r_.kind);
      return op;
    };
    if ((verbs & kVerbGet) != 0) {
      Operation op = add("get", "read", "get", "read");
      answer(op, {200}, type);
      place(item, std::move(op));
    }
    if ((verbs & kVerbPatch) != 0) {
      Operation op = add("patch", "patch", "patch", "change parts of");
      op.body = &meta_type("Patch");
      op.consumes = kPatches;
      answer(op, {200, 201}, type);
      place(item, std::move(op));
    }
    if ((verbs & kVerbUpdate) != 0) {
      Operation op = add("put", "replace", "update", "replace");
      op.body = type;
      answer(op, {200, 201}, type);
      place(item, std::move(op));
    }
  }

  void add_watches() {
    auto add = [&](std::string path, std::string id, std::string_view action) {
      Operation op = start("get", std::move(id), "watch");
      op.description =
          fmt::format("watch objects of kind {}; deprecated: list with watch", r_.kind);
      op.action = action;
      op.produces = kStreams;
      answer(op, {200}, &meta_type("WatchEvent"));
      PathItem item{std::move(path), {}};
      place(item, std::move(op));
      finish(std::move(item));
    };
    std::string collection = base_ + "/watch" + scope_ + std::string(r_.plural);
    add(collection, fmt::format("watch{}{}List", word_, noun_), "watchlist");
    if (r_.can(kVerbGet)) {
      add(collection + "/{name}", fmt::format("watch{}{}", word_, noun_), "watch");
    }
    if (r_.namespaced) {
      add(fmt::format("{}/watch/{}", base_, r_.plural),
          fmt::format("watch{}{}ListForAllNamespaces", word_, r_.kind), "watchlist");
    }
  }

  void add_subresource(const Subresource& sub) {
    std::string path = fmt::format("{}{}{}/{{name}}/{}", base_, scope_, r_.plural, sub.name);
    bool connects = sub.kind.ends_with("Options");
    if (connects) return add_connect(path, sub);
    PathItem item{std::move(path), {}};
    std::string suffix = capitalised(sub.name);
    if ((sub.verbs & kVerbCreate) != 0) {
      Operation op =
          create_operation(fmt::format("create{}{}{}", word_, noun_, suffix), sub.type, sub.kind);
      op.group = sub.group;
      op.version = sub.version;
      op.kind = sub.kind;
      place(item, std::move(op));
    }
    if (sub.name == "log") {
      Operation op = start("get", fmt::format("read{}{}Log", word_, noun_), "get");
      op.description = fmt::format("read the log of the {}", r_.kind);
      op.parameters = option_parameters(*find_type("", "v1", "PodLogOptions"));
      op.produces = {"text/plain", "application/json", "application/yaml",
                     "application/vnd.kubernetes.protobuf"};
      answer(op, {200}, nullptr);
      place(item, std::move(op));
    } else {
      add_object_verbs(item, suffix, sub.verbs, sub.type, &sub);
    }
    finish(std::move(item));
  }

  void add_connect(const std::string& path, const Subresource& sub) {
    bool proxy = sub.name == "proxy";
    std::vector<std::string_view> methods = {"get", "post"};
    if (proxy) methods = {"delete", "get", "head", "options", "patch", "post", "put"};
    for (bool deep : {false, true}) {
      if (deep && !proxy) continue;
      PathItem item{deep ? path + "/{path}" : path, {}};
      for (std::string_view method : methods) {
        std::string id = fmt::format("connect{}{}{}{}{}", word_, capitalised(method), noun_,
                                     capitalised(sub.name), deep ? "WithPath" : "");
        Operation op = start(method, std::move(id), "");
        op.description = fmt::format("connect {} requests to {} of the {}", capitalised(method),
                                     sub.name, r_.kind);
        op.action = "connect";
        op.group = sub.group;
        op.version = sub.version;
        op.kind = sub.kind;
        op.produces = kAnything;
        op.parameters = option_parameters(*sub.type);
        if (deep) std::erase_if(op.parameters, [](const Parameter& p) { return p.name == "path"; });
        answer(op, {200}, nullptr);
        place(item, std::move(op));
      }
      finish(std::move(item));
    }
  }

  const OpenApiSource& source_;
  const ResourceInfo& r_;
  std::vector<PathItem>& out_;
  std::string base_;
  std::string scope_;
  std::string word_;
  std::string noun_;
};

PathItem discovery_path(std::string path, std::string id, std::string description, std::string tag,
                        const Type* type) {
  Operation op;
  op.method = "get";
  op.id = std::move(id);
  op.description = std::move(description);
  op.tag = std::move(tag);
  op.consumes = kObjects;
  op.produces = type == nullptr ? std::vector<std::string_view>{"application/json"} : kObjects;
  op.answers = {{200, {type, false}}, {401, {nullptr, true}}};
  return {std::move(path), {std::move(op)}};
}

}  // namespace

std::vector<PathItem> operations_of(const OpenApiSource& source, std::string_view group,
                                    std::string_view version) {
  std::vector<PathItem> out;
  for (const ResourceInfo& r : source.resources) {
    if (published(r) && r.group == group && r.version == version) {
      ResourcePaths(source, r, out).add();
    }
  }
  if (out.empty()) return out;
  out.push_back(
      discovery_path(group_version_path(group, version) + "/",
                     fmt::format("get{}{}APIResources", group_word(group), capitalised(version)),
                     "get available resources", fmt::format("{}_{}", group_tag(group), version),
                     &meta_type("APIResourceList")));
  std::sort(out.begin(), out.end(),
            [](const PathItem& a, const PathItem& b) { return a.path < b.path; });
  return out;
}

std::vector<PathItem> discovery_operations(const OpenApiSource& source, std::string_view name) {
  constexpr std::string_view kVersions = "get available API versions";
  std::string text(kVersions);
  if (name == "api") {
    return {discovery_path("/api/", "getCoreAPIVersions", text, "core", &meta_type("APIVersions"))};
  }
  if (name == "apis") {
    return {discovery_path("/apis/", "getAPIVersions", text, "apis", &meta_type("APIGroupList"))};
  }
  if (name == "version") {
    std::vector<PathItem> out = {discovery_path("/version/", "getCodeVersion",
                                                "get the version information for this server",
                                                "version", nullptr)};
    out[0].operations[0].answers[0].content.special = kVersionInfo;
    return out;
  }
  if (name == ".well-known/openid-configuration") {
    return {discovery_path("/.well-known/openid-configuration/",
                           "getServiceAccountIssuerOpenIDConfiguration",
                           "get the issuer of service account tokens", "WellKnown", nullptr)};
  }
  if (name == "openid/v1/jwks") {
    std::vector<PathItem> out = {
        discovery_path("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset",
                       "get the keys of service account tokens", "openid", nullptr)};
    out[0].operations[0].produces = {"application/jwk-set+json"};
    return out;
  }
  if (!name.starts_with("apis/")) return {};
  std::string_view group = name.substr(5);
  for (const ResourceInfo& r : source.resources) {
    if (!published(r) || r.group != group) continue;
    return {discovery_path(fmt::format("/apis/{}/", group),
                           fmt::format("get{}APIGroup", group_word(group)),
                           "get information of a group", group_tag(group), &meta_type("APIGroup"))};
  }
  return {};
}

}  // namespace knarr::api
