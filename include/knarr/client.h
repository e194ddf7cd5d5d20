// How everything outside src/server reaches the Kubernetes API, and how controllers write: one
// interface, whether the server is in this process (direct calls, no sockets) or across the network
// (HTTP/2). All calls and callbacks on the loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "knarr/object.h"
#include "knarr/result.h"

namespace knarr::client {

enum class Verb { kGet, kCreate, kUpdate, kPatch, kDelete };
enum class PatchType { kJson, kMerge, kStrategicMerge, kApply };

// Where a request goes. Example: {"apps", "v1", "deployments", "default", "web", "scale"}.
struct Target {
  std::string group;
  std::string version;
  std::string resource;
  std::string ns;
  std::string name;         // empty for a create
  std::string subresource;  // empty for the object itself
};

struct Request {
  Verb verb = Verb::kGet;
  Target target;
  std::string body;  // JSON: the object, the patch, or DeleteOptions
  PatchType patch_type = PatchType::kStrategicMerge;
  std::string query;  // further query parameters, encoded: "fieldManager=x&force=true"
};

// The object as stored after the write; for a finished delete its last state; for virtual
// subresources (token, eviction, scale) the answer, revision 0 when it has none.
using Reply = std::function<void(Result<ObjectRef>)>;

struct WatchTarget {
  std::string group;
  std::string version;
  std::string resource;
  std::string ns;  // empty: all
  std::string label_selector;
  std::string field_selector;
};

// Told what is there, then what changes, forever: the client lists, watches, resumes and lists
// again by itself. After a gap it reports the difference, so that a handler sees each object's last
// state.
class WatchHandler {
 public:
  virtual ~WatchHandler() = default;
  virtual void on_upsert(const ObjectRef& object) = 0;  // new or changed
  virtual void on_delete(const ObjectRef& last) = 0;
  virtual void on_synced() {}  // the first complete list has been told
};

// Destroying it ends the watch; no call reaches the handler after that.
class Watch {
 public:
  virtual ~Watch() = default;
};

class Client {
 public:
  virtual ~Client() = default;
  virtual void call(Request request, Reply reply) = 0;
  virtual std::unique_ptr<Watch> watch(WatchTarget target, WatchHandler& handler) = 0;
};

}  // namespace knarr::client
