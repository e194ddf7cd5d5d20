// The store's file and what is done to it, synchronously: batches of writes, reads, replays,
// maintenance. The commit thread owns it; nothing here knows of loops or callbacks.
//
// Tables: `current` has the newest value of each key, once. `log` has a row for each change with
// what was there *before* it: a change's new value is the next row's previous one for that key, or
// the current one. So a create writes its value once, and rolling back is reading rows backwards.
// A log row's id is revision << 20 | place within the revision. The newest revision is never
// stored by itself: it is the largest of the log's, the compacted one and the reserved mark.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "knarr/kv_store.h"
#include "store/sqlite/backup.h"
#include "store/sqlite/database.h"
#include "store/sqlite/sqlite_store.h"

namespace knarr::kv {

struct Write {
  enum class Kind { kTxn, kGrant, kRevoke } kind = Kind::kTxn;
  Txn txn;
  int64_t lease = 0;   // kRevoke
  int64_t ttl_ms = 0;  // kGrant
};

struct Outcome {
  Result<TxnResult> result = TxnResult{};  // of a revoke: its revision
  int64_t lease = 0;                       // granted
  std::vector<Event> events;
};

struct LeaseRow {
  int64_t lease;
  int64_t ttl_ms;
};

class Engine {
 public:
  // Creates the file (mode 0600) or opens it: locks it against other processes, checks it, reads
  // where it stands. A damaged or foreign file is an error that names it; it is left as it is.
  static Result<std::unique_ptr<Engine>> open(const SqliteOptions& options);
  ~Engine();

  Revision revision() const { return revision_; }
  Revision compacted() const { return compacted_; }
  Result<std::vector<LeaseRow>> leases();

  // All writes as one transaction with one fsync, in order, each compared against what those before
  // it left. When the file fails, nothing of the batch is applied; then each write is tried by
  // itself, so that one that is too big for the disk fails alone.
  std::vector<Outcome> apply(std::span<Write> writes);

  // All keys are volatile, and the revision is covered: applying it touches neither file nor
  // statement.
  bool needs_no_disk(const Write& write) const;

  Result<RangeResult> range(const Range& range);
  // Events of [begin, end) from a revision on, in order.
  Result<std::vector<Event>> replay(const std::string& begin, const std::string& end,
                                    Revision from);

  Result<Revision> compact(Revision revision);

  // What is due when nothing is urgent, in steps of a few milliseconds at most. True: more is due.
  // Steps that fail are given up until the next write.
  bool maintain();
  // Moves the write-ahead log into the file when it has grown past its bound.
  void checkpoint_if_due();

  Result<void> backup_start(const std::string& path);
  // True: finished. On an error nothing is left at the path.
  Result<bool> backup_step();

  // Leaves one file without a write-ahead log, and the exact revision.
  Result<void> close();

 private:
  struct Row {
    std::string key;
    int64_t id = 0;  // 0: absent, or volatile
    KeyValue kv;     // mod_revision 0: absent
  };
  struct Saved;  // what a failed batch gives back

  Engine() = default;

  // schema.cc
  Result<void> lock_file();
  Result<void> check_file();
  Result<void> configure();
  Result<void> create_schema();
  Result<void> prepare_statements();
  Result<void> load();

  // engine.cc
  Result<void> apply_all(std::span<Write> writes, std::vector<Outcome>& outcomes);
  Result<void> apply_txn(const Txn& txn, Outcome& outcome);
  Result<void> apply_grant(int64_t ttl_ms, Outcome& outcome);
  Result<void> apply_revoke(int64_t lease, Outcome& outcome);
  Result<Row> find(const std::string& key);
  Result<Row> find_durable(const std::string& key);
  Result<bool> compares_hold(const Txn& txn, std::vector<Row>& rows, TxnResult& result);
  Result<void> put(const Op& op, Row row, Revision revision, Outcome& outcome);
  Result<void> remove(Row row, Revision revision, Outcome& outcome);
  Result<void> append_log(const Row& row, Revision revision, size_t place);
  Result<void> cover_volatile(Revision revision);
  void set_volatile(const std::string& key, std::optional<KeyValue> kv);
  Result<void> begin();
  Result<void> commit();
  void roll_back(Saved saved);

  // history.cc
  Result<std::vector<KeyValue>> read_current(const Range& range, int64_t limit);
  Result<RangeResult> range_now(const Range& range);
  Result<RangeResult> range_at(const Range& range);

  // maintenance.cc
  Result<bool> compact_step();
  Result<bool> vacuum_step();

  SqliteOptions options_;
  base::UniqueFd file_;  // holds the lock; opened before the database and closed after it
  Database db_;
  Statement begin_, commit_, find_, insert_, update_, delete_, log_, range_, range_keys_, count_,
      log_from_, leased_, grant_, revoke_, set_meta_, trim_;

  Revision revision_ = 1;
  Revision compacted_ = 0;
  Revision reserved_ = 0;  // volatile revisions up to here need no write
  std::set<int64_t> leases_;
  std::map<std::string, KeyValue> volatile_;
  std::vector<std::pair<std::string, std::optional<KeyValue>>> volatile_undo_;
  bool is_new_ = false;
  bool trim_due_ = false;
  bool vacuum_due_ = false;
  int wal_pages_ = 0;

  std::unique_ptr<Backup> backup_;
};

// One revision has room for 2^20 changes.
inline constexpr int kPlaceBits = 20;
inline int64_t log_id(Revision revision, size_t place = 0) {
  return revision << kPlaceBits | static_cast<int64_t>(place);
}

}  // namespace knarr::kv
