// The seam under the API server: etcd's model, small. Keys are bytes in one ordered space; every
// successful transaction gets the next revision; a put remembers the revision it happened at.
//
// Threads: all calls and all callbacks on the loop thread. A backend may do its work elsewhere.
// Durability: a callback that says ok means the change survives a power cut. Order: everything is
// done and answered in the order it was asked for. For each transaction its events are delivered to
// every watcher, then its callback comes, then those of the next. A range is answered between the
// events of its revision and those after. No callback comes before the call that asked returns, nor
// after the store is destroyed; the store is not destroyed inside a callback of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::kv {

using Revision = int64_t;  // 1 is the empty store; the first write makes 2

struct KeyValue {
  std::string key;
  std::string value;
  Revision create_revision = 0;
  Revision mod_revision = 0;
  int64_t lease = 0;  // 0: none
};

struct Range {
  std::string begin;
  std::string end;  // exclusive; empty: the one key `begin`
  Revision revision =
      0;              // 0: newest. Below the compacted one: kExpired. Above the newest: kBadRequest
  int64_t limit = 0;  // 0: no limit
  bool keys_only = false;
  bool count_only = false;
};

struct RangeResult {
  Revision revision = 0;  // of the store when the range was read
  std::vector<KeyValue> kvs;
  bool more = false;  // the limit cut the result
  int64_t count = 0;  // of all keys in the range; with `more` only when count_only was asked
};

// Applies when every compare holds. A compare with mod_revision 0 means "the key must not exist".
struct Compare {
  std::string key;
  Revision mod_revision = 0;
};

struct Op {
  enum class Kind { kPut, kDelete } kind = Kind::kPut;
  std::string key;
  std::string value;
  int64_t lease = 0;
};

struct Txn {
  std::vector<Compare> compares;
  std::vector<Op> ops;  // at most one a key; deleting what is not there does nothing
};

struct TxnResult {
  bool succeeded = false;
  Revision revision = 0;            // of the change, or of the store when nothing changed
  std::vector<KeyValue> conflicts;  // when !succeeded: what is there now, for each compared key
};

struct Event {
  enum class Kind { kPut, kDelete } kind = Kind::kPut;
  KeyValue kv;        // of a delete: the key, and mod_revision of the deletion
  KeyValue previous;  // empty key when there was none
};

// All events of one revision, in one call. `error` ends the watch: kExpired when the asked revision
// is compacted.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_events(Revision revision, const std::vector<Event>& events) = 0;
  virtual void on_error(const Error& error) = 0;
};

// Destroying it ends the watch; no call reaches the watcher after that.
class Watch {
 public:
  virtual ~Watch() = default;
};

template <typename T>
using Callback = std::function<void(Result<T>)>;

struct Limits {
  int64_t max_value_bytes = 1536 * 1024;  // etcd's request limit
  int64_t max_txn_ops = 128;
};

struct Options {
  Limits limits;
  // Keys that begin with one of these live in memory only: writing them costs no disk write, they
  // vanish with the process, without events. They take their revisions from the one sequence, which
  // never repeats or goes back: the store keeps a durable mark ahead of it (so the revision jumps
  // after a crash). They have no history: watches that start in the past do not replay them, reads
  // at an older revision do not show them. They cannot have leases.
  std::vector<std::string> volatile_prefixes;
};

class Store {
 public:
  virtual ~Store() = default;

  // The newest revision whose transaction was answered.
  virtual Revision revision() const = 0;

  virtual void range(Range range, Callback<RangeResult> done) = 0;

  // Errors: kRequestEntityTooLarge past the limits; kServiceUnavailable when the disk is full or
  // fails. Nothing of the transaction is applied then, and the store goes on: later writes may
  // succeed. But what failed to be synced may be on the disk all the same: when the process ends
  // before another write, the next one may find the transaction there.
  virtual void txn(Txn txn, Callback<TxnResult> done) = 0;

  // Events of keys in [begin, end) with a revision >= from (0: after the newest).
  virtual std::unique_ptr<Watch> watch(std::string begin, std::string end, Revision from,
                                       Watcher& watcher) = 0;

  // Forgets changes at or below the revision; values that are current stay.
  virtual void compact(Revision revision, Callback<Revision> done) = 0;
  virtual Revision compacted() const = 0;

  // A lease that is not kept alive for ttl_ms is revoked: its keys are deleted in one transaction.
  // Leases survive a restart, and then have their whole ttl_ms again. A put with a lease that does
  // not exist is kNotFound.
  virtual void lease_grant(int64_t ttl_ms, Callback<int64_t> done) = 0;
  virtual Result<void> lease_keep_alive(int64_t lease) = 0;
  virtual void lease_revoke(int64_t lease, Callback<Revision> done) = 0;

  // A consistent copy of the whole store, while it serves, at a path that must not exist.
  virtual void backup(std::string path, Callback<Revision> done) = 0;
};

}  // namespace knarr::kv
