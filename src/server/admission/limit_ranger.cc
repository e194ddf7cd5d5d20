// LimitRanger: containers that name no requests or limits get those of the namespace's LimitRanges,
// and pods and claims that leave the ranges are refused.

#include "api/view/pod_resources.h"
#include "base/format.h"
#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

using api::Quantities;
using api::Quantity;
using json::Value;

constexpr const char* kNote = "kubernetes.io/limit-ranger";

// Fills in what the container leaves open; the names that were set: "cpu, memory".
std::string fill(Value& resources, const char* list, const Value& defaults) {
  std::string names;
  Quantities wanted = api::quantities_of(defaults);  // sorted by name
  for (const auto& [name, amount] : wanted) {
    if (resources[list].has(name)) continue;
    resources.member(list).set(name, defaults[name]);
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

void fill_container(Value& container, const Value& limit, const char* what, std::string& note) {
  std::string name = container["name"].text();
  Value resources = container["resources"].is_object() ? container["resources"] : Value::object();
  std::string limits = fill(resources, "limits", limit["default"]);
  std::string requests = fill(resources, "requests", limit["defaultRequest"]);
  if (limits.empty() && requests.empty()) return;
  container.set("resources", std::move(resources));
  auto add = [&](const std::string& names, const char* list) {
    if (names.empty()) return;
    note += note.empty() ? "LimitRanger plugin set: " : "; ";
    note += fmt::format("{} {} for {} {}", names, list, what, name);
  };
  add(requests, "request");
  add(limits, "limit");
}

// The checks of one LimitRange, gathered as upstream gathers them.
class Checks {
 public:
  struct Asked {
    Quantities requests;
    Quantities limits;
  };

  void container_or_pod(const Value& limit, const Asked& asked) {
    for (const auto& [name, bound] : api::quantities_of(limit["min"]))
      least(limit, name, bound, asked);
    for (const auto& [name, bound] : api::quantities_of(limit["max"]))
      most(limit, name, bound, asked);
    for (const auto& [name, bound] : api::quantities_of(limit["maxLimitRequestRatio"])) {
      ratio(limit, name, bound, asked);
    }
  }

  void claim(const Value& limit, const Asked& asked) {
    for (const auto& [name, bound] : api::quantities_of(limit["min"]))
      least(limit, name, bound, asked);
    for (const auto& [name, bound] : api::quantities_of(limit["max"])) {
      const Quantity* request = find(asked.requests, name);
      if (request == nullptr) {
        add("maximum {} usage per {} is {}.  No request is specified", limit, name, bound);
      } else if (bound < *request) {
        add("maximum {} usage per {} is {}, but request is {}", limit, name, bound,
            request->text());
      }
    }
  }

  // Empty: all hold. One complaint stands alone, several in brackets.
  std::string text() const {
    if (complaints_.size() < 2) return complaints_.empty() ? "" : complaints_[0];
    std::string all;
    for (const std::string& one : complaints_) all += (all.empty() ? "" : ", ") + one;
    return "[" + all + "]";
  }

 private:
  static const Quantity* find(const Quantities& quantities, const std::string& name) {
    auto it = quantities.find(name);
    return it != quantities.end() ? &it->second : nullptr;
  }

  void add(const char* form, const Value& limit, const std::string& name, const Quantity& bound,
           const std::string& is = {}) {
    std::string complaint =
        fmt::format(fmt::runtime(form), name, limit["type"].as_string(), bound.text(), is);
    for (const std::string& c : complaints_) {
      if (c == complaint) return;
    }
    complaints_.push_back(std::move(complaint));
  }

  void least(const Value& limit, const std::string& name, const Quantity& bound,
             const Asked& asked) {
    const Quantity* request = find(asked.requests, name);
    const Quantity* ceiling = find(asked.limits, name);
    if (request == nullptr) {
      add("minimum {} usage per {} is {}.  No request is specified", limit, name, bound);
    } else if (*request < bound) {
      add("minimum {} usage per {} is {}, but request is {}", limit, name, bound, request->text());
    } else if (ceiling != nullptr && *ceiling < bound) {
      add("minimum {} usage per {} is {}, but limit is {}", limit, name, bound, ceiling->text());
    }
  }

  void most(const Value& limit, const std::string& name, const Quantity& bound,
            const Asked& asked) {
    const Quantity* request = find(asked.requests, name);
    const Quantity* ceiling = find(asked.limits, name);
    if (ceiling == nullptr) {
      add("maximum {} usage per {} is {}.  No limit is specified", limit, name, bound);
    } else if (bound < *ceiling) {
      add("maximum {} usage per {} is {}, but limit is {}", limit, name, bound, ceiling->text());
    } else if (request != nullptr && bound < *request) {
      add("maximum {} usage per {} is {}, but request is {}", limit, name, bound, request->text());
    }
  }

  void ratio(const Value& limit, const std::string& name, const Quantity& bound,
             const Asked& asked) {
    const Quantity* request = find(asked.requests, name);
    const Quantity* ceiling = find(asked.limits, name);
    if (request == nullptr || request->is_zero()) {
      add("{} max limit to request ratio per {} is {}, but no request is specified or request is 0",
          limit, name, bound);
    } else if (ceiling == nullptr || ceiling->is_zero()) {
      add("{} max limit to request ratio per {} is {}, but no limit is specified or limit is 0",
          limit, name, bound);
    } else if (double is = ceiling->as_double() / request->as_double(); is > bound.as_double()) {
      add("{} max limit to request ratio per {} is {}, but provided ratio is {}", limit, name,
          bound, fmt::format("{:.6f}", is));
    }
  }

  std::vector<std::string> complaints_;
};

void check_pod(Checks& checks, const Value& limit, const Value& spec) {
  std::string_view type = limit["type"].as_string();
  if (type == "Container") {
    for (const char* list : {"containers", "initContainers"}) {
      for (const Value& c : spec[list].elements()) {
        checks.container_or_pod(limit, {api::quantities_of(c["resources"]["requests"]),
                                        api::quantities_of(c["resources"]["limits"])});
      }
    }
  } else if (type == "Pod") {
    api::PodResources r = api::pod_resources(spec);
    checks.container_or_pod(limit, {std::move(r.requests), std::move(r.limits)});
  }
}

class LimitRanger final : public AdmissionPlugin {
 public:
  explicit LimitRanger(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "LimitRanger"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (!concerned(request) || !request.is("", "pods")) return {};
    Value& pod = *request.object;
    for (const Value& range : ranges(request.ns)) {
      std::string note;
      for (const Value& limit : range["spec"]["limits"].elements()) {
        if (limit["type"].as_string() != "Container") continue;
        fill_all(pod, "containers", limit, "container", note);
        fill_all(pod, "initContainers", limit, "init container", note);
      }
      if (!note.empty()) pod.member("metadata").member("annotations").set(kNote, note);
    }
    return {};
  }

  Result<void> validate(const AdmissionRequest& request) override {
    if (!concerned(request)) return {};
    const Value& spec = (*request.object)["spec"];
    bool pod = request.is("", "pods");
    for (const Value& range : ranges(request.ns)) {
      Checks checks;
      for (const Value& limit : range["spec"]["limits"].elements()) {
        if (pod) {
          check_pod(checks, limit, spec);
        } else if (limit["type"].as_string() == "PersistentVolumeClaim") {
          checks.claim(limit, {api::quantities_of(spec["resources"]["requests"]), {}});
        }
      }
      if (std::string why = checks.text(); !why.empty()) return admission_forbidden(request, why);
    }
    return {};
  }

 private:
  // A pod's containers can't be changed later, except in size.
  static bool concerned(const AdmissionRequest& request) {
    if (request.operation == Operation::kDelete) return false;
    bool update = request.operation == Operation::kUpdate;
    if (update && !(*request.old)["metadata"]["deletionTimestamp"].is_null()) return false;
    if (request.is("", "pods"))
      return update ? request.subresource == "resize" : request.subresource.empty();
    return request.is("", "persistentvolumeclaims") && request.subresource.empty();
  }

  static void fill_all(Value& pod, const char* list, const Value& limit, const char* what,
                       std::string& note) {
    Value* containers = pod.member("spec").find(list);
    if (containers == nullptr) return;
    for (Value& c : containers->elements()) fill_container(c, limit, what, note);
  }

  std::vector<Value> ranges(const std::string& ns) const {
    std::vector<Value> all;
    cache_.for_each({"", "limitranges"}, ns, [&](const ObjectRef& object) {
      Result<Value> value = json::parse(object->json);
      if (value.ok()) all.push_back(*std::move(value));
      return true;
    });
    return all;
  }

  const Cache& cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_limit_ranger(const AdmissionDeps& deps) {
  return std::make_unique<LimitRanger>(deps.cache);
}

}  // namespace knarr::server
