// What watchers of the cache are told, and how. Loop thread.
//
// Every change of an object is one Change, made once and shared by the event window and all
// watchers. A watcher with a selector sees transitions as Kubernetes has them: an object that comes
// to match is ADDED, one that no longer matches is DELETED (its previous content, at the revision
// of the change). All watchers are told in revision order, before the writer is answered.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "knarr/kv_store.h"
#include "knarr/object.h"

namespace knarr::server {

enum class EventType { kAdded, kModified, kDeleted };

using Encoded = std::shared_ptr<const std::string>;
// The same object with another metadata.resourceVersion (api::with_revision).
using Restamp = std::function<ObjectRef(const Object& object, kv::Revision revision)>;

class Change {
 public:
  Change(kv::Revision revision, ObjectRef object, ObjectRef previous)
      : revision_(revision), object_(std::move(object)), previous_(std::move(previous)) {}
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  kv::Revision revision() const { return revision_; }
  const ObjectRef& object() const { return object_; }      // null: deleted
  const ObjectRef& previous() const { return previous_; }  // null: created
  const NamespacedName& name() const { return (object_ ? object_ : previous_)->name; }

  // What an event of this type carries: kAdded and kModified the new object, kDeleted the last (or
  // last matching) one with resourceVersion set to revision().
  ObjectRef shown(EventType type, const Restamp& restamp) const;

  // The event in one encoding (0, 1, ...: the http layer's numbers), made by the first who asks and
  // shared by all who ask while the change is being told.
  using Encode = std::function<std::string(EventType type, const Object& shown)>;
  Encoded encoded(EventType type, int encoding, const Restamp& restamp, const Encode& encode) const;
  void drop_encodings() const { encodings_.clear(); }

 private:
  struct Slot {
    EventType type;
    int encoding;
    Encoded text;
  };
  kv::Revision revision_;
  ObjectRef object_;
  ObjectRef previous_;
  mutable ObjectRef tombstone_;
  mutable std::vector<Slot> encodings_;
};

struct WatchEvent {
  EventType type = EventType::kAdded;
  std::shared_ptr<const Change> change;
  bool initial = false;              // part of the state sent first, not a change
  const Restamp* restamp = nullptr;  // the cache's; valid during the call
  bool past = false;                 // told by start(), all at once: exempt it from queue limits

  ObjectRef object() const { return change->shown(type, *restamp); }
  Encoded encoded(int encoding, const Change::Encode& encode) const {
    return change->encoded(type, encoding, *restamp, encode);
  }
};

// The receiver of a watch. Inside a call it may end its own or any other watch, start others, and
// write to the cache.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  virtual void on_event(const WatchEvent& event) = 0;
  // Everything up to `revision` has been told. `initial_end` marks the end of the initial state
  // (annotation k8s.io/initial-events-end).
  virtual void on_bookmark(kv::Revision revision, bool initial_end) = 0;
  // The watch has ended: kExpired, or kNotFound when its resource was removed.
  virtual void on_error(const Error& error) = 0;
};

using Predicate = std::function<bool(const Object&)>;

struct WatchOptions {
  std::string ns;     // empty: all
  std::string name;   // empty: all; from the field selector metadata.name=x
  Predicate matches;  // null: all; label and field selectors
  // Events after this revision; kNow: after the newest.
  static constexpr kv::Revision kNow = -1;
  kv::Revision from = kNow;
  // First an ADDED for every object there is (then `from` is not looked at)...
  bool initial_state = false;
  bool initial_bookmark = false;  // ...and the bookmark that ends it.
  // A bookmark about once a minute while the revision moves and nothing else was told.
  bool bookmarks = false;
};

// Destroying it ends the watch; no call reaches the sink after that. Two steps, so that the owner
// can send its headers in between: Cache::watch() checks and registers, start() tells what is due
// (synchronously) and goes live.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void start() = 0;
};

}  // namespace knarr::server
