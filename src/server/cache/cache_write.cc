// Writes: one compare-and-swap each, and the order of writers of one key.
#include <algorithm>
#include <utility>

#include "server/cache/cache_impl.h"

namespace knarr::server {

namespace {

// Objects with the same time to live share a lease for this part of it, at most a minute: a lease
// an object would cost a write and a timer each.
int64_t sharing_ms(int64_t ttl_ms) { return std::min<int64_t>(ttl_ms / 20, 60 * 1000); }

Error refused(const kv::TxnResult& result, const std::string& key, kv::Revision expected) {
  kv::Revision now = result.conflicts.empty() ? 0 : result.conflicts[0].mod_revision;
  if (expected == 0) return make_error(Code::kAlreadyExists, key + " already exists");
  if (now == 0) return make_error(Code::kNotFound, key + " not found");
  return make_error(Code::kConflict, key + " has been modified");
}

}  // namespace

void Cache::create(const ObjectKey& key, ObjectRef draft, WriteOptions options,
                   WriteCallback done) {
  impl_->write(key, {"", 0, kv::Op::Kind::kPut, std::move(draft), options.ttl_ms, std::move(done)});
}

void Cache::update(const ObjectKey& key, kv::Revision expected, ObjectRef draft,
                   WriteOptions options, WriteCallback done) {
  CHECK(expected > 0);
  impl_->write(
      key, {"", expected, kv::Op::Kind::kPut, std::move(draft), options.ttl_ms, std::move(done)});
}

void Cache::remove(const ObjectKey& key, kv::Revision expected, WriteCallback done) {
  CHECK(expected > 0);
  impl_->write(key, {"", expected, kv::Op::Kind::kDelete, nullptr, 0, std::move(done)});
}

void Cache::Impl::write(const ObjectKey& key, WriteRequest request) {
  Resource* resource = find(key.resource);
  if (resource == nullptr) {
    clock.defer(
        [weak = weak_from_this(), name = key.resource.resource, done = std::move(request.done)] {
          if (weak.lock()) done(make_error(Code::kNotFound, "no resource " + name));
        });
    return;
  }
  CHECK(resource->spec.namespaced == !key.name.ns.empty() && !key.name.name.empty());
  CHECK(request.kind == kv::Op::Kind::kDelete || request.draft->name == key.name);
  request.key = resource->spec.prefix + key.name.text();
  ++pending[request.key].in_flight;
  if (request.ttl_ms > 0) {
    write_leased(std::move(request));
  } else {
    submit(std::move(request), 0);
  }
}

void Cache::Impl::write_leased(WriteRequest request) {
  int64_t ttl_ms = request.ttl_ms;
  SharedLease& shared = leases[ttl_ms];
  int64_t age_ms = clock.monotonic_ms() - shared.granted_ms;
  if (shared.lease != 0 && age_ms <= sharing_ms(ttl_ms)) {
    submit(std::move(request), shared.lease);
    return;
  }
  shared.lease = 0;
  shared.waiting.push_back(std::move(request));
  if (shared.waiting.size() > 1) return;
  store.lease_grant(ttl_ms + sharing_ms(ttl_ms),
                    [weak = weak_from_this(), ttl_ms](Result<int64_t> granted) {
                      auto impl = weak.lock();
                      if (!impl) return;
                      SharedLease& lease = impl->leases[ttl_ms];
                      std::vector<WriteRequest> waiting = std::move(lease.waiting);
                      lease.waiting.clear();
                      if (granted.ok()) {
                        lease.lease = *granted;
                        lease.granted_ms = impl->clock.monotonic_ms();
                      }
                      for (WriteRequest& request : waiting) {
                        if (granted.ok()) {
                          impl->submit(std::move(request), *granted);
                        } else {
                          impl->finish(request.key, request.done, granted.error());
                        }
                      }
                    });
}

// The store tells of this write's change right before it answers, so the draft at the front of the
// key's queue is the one a change came from.
void Cache::Impl::submit(WriteRequest request, int64_t lease) {
  kv::Txn txn;
  txn.compares.push_back({request.key, request.expected});
  txn.ops.push_back({request.kind, request.key, request.draft ? request.draft->json : "", lease});
  pending[request.key].drafts.push_back(request.draft);
  store.txn(
      std::move(txn), [weak = weak_from_this(), key = request.key, expected = request.expected,
                       done = std::move(request.done)](Result<kv::TxnResult> result) {
        auto impl = weak.lock();
        if (!impl) return;
        PendingKey& at = impl->pending[key];
        at.drafts.pop_front();
        std::shared_ptr<const Change> change = std::exchange(at.last, nullptr);
        if (!result.ok()) {
          impl->finish(key, done, result.error());
        } else if (!result->succeeded) {
          impl->finish(key, done, refused(*result, key, expected));
        } else if (!change || change->revision() != result->revision) {
          impl->finish(key, done, make_error(Code::kInternalError, key + " was stored unreadable"));
        } else {
          EventType type = change->object() ? EventType::kModified : EventType::kDeleted;
          impl->finish(key, done, change->shown(type, impl->options.restamp));
        }
      });
}

void Cache::Impl::finish(const std::string& key, const WriteCallback& done,
                         Result<ObjectRef> result) {
  auto alive = shared_from_this();
  --pending[key].in_flight;
  done(std::move(result));
  run_turns(key);
}

void Cache::when_idle(const ObjectKey& key, std::function<void()> turn) {
  Resource* resource = impl_->find(key.resource);
  if (resource == nullptr) {
    turn();
    return;
  }
  std::string full = resource->spec.prefix + key.name.text();
  impl_->pending[full].turns.push_back(std::move(turn));
  impl_->run_turns(full);
}

void Cache::Impl::run_turns(const std::string& key) {
  auto alive = shared_from_this();
  PendingKey& at = pending[key];  // references into the map survive its growth
  if (at.running_turn) return;
  at.running_turn = true;
  while (at.in_flight == 0 && !at.turns.empty()) {
    std::function<void()> turn = std::move(at.turns.front());
    at.turns.pop_front();
    turn();
  }
  at.running_turn = false;
  if (at.in_flight == 0 && at.turns.empty()) pending.erase(key);
}

}  // namespace knarr::server
