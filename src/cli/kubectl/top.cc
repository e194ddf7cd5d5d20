// top: what nodes and pods use, of metrics.k8s.io.
#include <algorithm>
#include <cstdio>

#include "api/quantity.h"
#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/tab_writer.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kTop[] = {
    bool_flag("all-namespaces", 'A', "pods of every namespace"),
    bool_flag("no-headers", 0, "no line of column names"),
    text_flag("selector", 'l', "those with these labels"),
};

constexpr const char* kMetrics = "/apis/metrics.k8s.io/v1beta1";

struct Use {
  int64_t cpu_milli = 0;
  int64_t memory_bytes = 0;

  void add(const json::Value& list) {
    cpu_milli += api::quantity_or_zero(list["cpu"].as_string()).milli_value();
    memory_bytes += api::quantity_or_zero(list["memory"].as_string()).value();
  }
};

std::string percent(int64_t used, int64_t of) {
  return of <= 0 ? "<unknown>" : std::to_string(used * 100 / of) + "%";
}

// One object, or those that the flags choose, by name.
Result<std::vector<json::Value>> objects_at(Session& session, const Flags& flags, std::string path,
                                            const std::string& name) {
  TRY_ASSIGN(ApiClient * api, session.api());
  ApiAsk ask;
  ask.path = std::move(path);
  if (!name.empty()) ask.path += "/" + name;
  if (flags.has("selector")) ask.query.add("labelSelector", flags.text("selector"));
  TRY_ASSIGN(json::Value answer, api->call(ask));
  std::vector<json::Value> objects;
  if (!name.empty()) {
    objects.push_back(std::move(answer));
    return objects;
  }
  for (json::Value& item : answer.member("items").elements()) objects.push_back(std::move(item));
  auto key = [](const json::Value& object) {
    const json::Value& meta = object["metadata"];
    return std::pair(meta["namespace"].text(), meta["name"].text());
  };
  std::sort(objects.begin(), objects.end(),
            [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return objects;
}

Result<int> top_nodes(Session& session, const Flags& flags, const std::string& name) {
  TRY_ASSIGN(auto metrics, objects_at(session, flags, std::string(kMetrics) + "/nodes", name));
  TRY_ASSIGN(auto nodes, objects_at(session, flags, "/api/v1/nodes", name));
  TabWriter writer(6, 3);
  if (!flags.yes("no-headers")) {
    writer.write("NAME\tCPU(cores)\tCPU(%)\tMEMORY(bytes)\tMEMORY(%)\t\n");
  }
  for (const json::Value& node : nodes) {
    std::string line = node["metadata"]["name"].text();
    auto found = std::find_if(metrics.begin(), metrics.end(), [&](const json::Value& m) {
      return m["metadata"]["name"] == node["metadata"]["name"];
    });
    if (found == metrics.end()) {
      writer.write(line + "\t<unknown>\t<unknown>\t<unknown>\t<unknown>\t\n");
      continue;
    }
    Use used, all;
    used.add((*found)["usage"]);
    all.add(node["status"]["allocatable"]);
    writer.write(fmt::format("{}\t{}m\t{}\t{}Mi\t{}\t\n", line, used.cpu_milli,
                             percent(used.cpu_milli, all.cpu_milli), used.memory_bytes >> 20,
                             percent(used.memory_bytes, all.memory_bytes)));
  }
  print(writer.flush());
  return 0;
}

Result<int> top_pods(Session& session, const Flags& flags, const std::string& name) {
  bool everywhere = flags.yes("all-namespaces");
  std::string path =
      std::string(kMetrics) + (everywhere ? "/pods" : "/namespaces/" + session.ns() + "/pods");
  TRY_ASSIGN(auto metrics, objects_at(session, flags, path, name));
  if (metrics.empty()) {
    std::string where = everywhere ? "" : fmt::format(" in {} namespace.", session.ns());
    std::fprintf(stderr, "No resources found%s\n", where.c_str());
    return 0;
  }
  TabWriter writer(6, 3);
  if (!flags.yes("no-headers")) {
    writer.write(std::string(everywhere ? "NAMESPACE\t" : "") +
                 "NAME\tCPU(cores)\tMEMORY(bytes)\t\n");
  }
  for (const json::Value& pod : metrics) {
    Use used;
    for (const json::Value& container : pod["containers"].elements()) used.add(container["usage"]);
    const json::Value& meta = pod["metadata"];
    writer.write((everywhere ? meta["namespace"].text() + "\t" : "") +
                 fmt::format("{}\t{}m\t{}Mi\t\n", meta["name"].as_string(), used.cpu_milli,
                             used.memory_bytes >> 20));
  }
  print(writer.flush());
  return 0;
}

}  // namespace

const std::span<const FlagSpec> kTopFlags = kTop;

Result<int> top_verb(Session& session, const Flags& flags) {
  std::string what = flags.words.empty() ? "" : flags.words[0];
  bool nodes = what == "node" || what == "nodes" || what == "no";
  bool pods = what == "pod" || what == "pods" || what == "po";
  if (!nodes && !pods) return usage_error("top", "expected 'top node' or 'top pod'");
  TRY_ASSIGN(const Catalogue* catalogue, session.catalogue());
  bool served = std::any_of(catalogue->all().begin(), catalogue->all().end(),
                            [](const ApiResource& r) { return r.group == "metrics.k8s.io"; });
  if (!served) return bad("Metrics API not available");
  std::string name = flags.words.size() > 1 ? flags.words[1] : "";
  return nodes ? top_nodes(session, flags, name) : top_pods(session, flags, name);
}

}  // namespace knarr::kubectl
