// Which objects a command line names: "pod/x", "pods x y", "deploy,svc -l app=web", "-f file".
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/kubectl/session.h"

namespace knarr::kubectl {

struct ResourceArg {
  std::string type;
  std::string name;  // empty: all of them, or those a selector matches
  bool operator==(const ResourceArg&) const = default;
};

// Pure. Errors in kubectl's words.
Result<std::vector<ResourceArg>> parse_resource_args(const std::vector<std::string>& words);

struct Target {
  const ApiResource* resource = nullptr;
  std::string ns;  // empty for cluster-scoped ones
  std::string name;
  json::Value object;  // as the server has it; null when it was not asked for
  std::string source;  // the file it comes from; empty when it was named

  std::string path(std::string_view subresource = {}) const {
    return resource->path(ns, name, subresource);
  }
  // "deployment.apps/web", "pod/x".
  std::string text() const { return resource->lower_kind() + "/" + name; }
};

struct SelectOptions {
  bool fetch = true;        // read the named objects
  bool fail_early = false;  // an object that can't be read ends the command
  bool need_names = false;  // types alone are an error, but for --all and selectors
  std::string verb;         // for usage errors
};

struct Selection {
  std::vector<Target> targets;
  int status = 0;  // 1 when an object could not be read: that was reported already
};

// Targets of the words and of -f, -l, --field-selector, --all, -A. Errors end the command; those of
// single objects are printed and counted.
Result<Selection> select_targets(Session& session, const Flags& flags,
                                 const std::vector<std::string>& words,
                                 const SelectOptions& options);

// -l and --field-selector as query parameters.
net::Query selector_query(const Flags& flags);

// The one target of words like "deployment/web" or "deployment web".
Result<Target> select_one(Session& session, const Flags& flags,
                          const std::vector<std::string>& words, const std::string& verb);

}  // namespace knarr::kubectl
