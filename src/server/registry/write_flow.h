// One write on its way through the registry: what create, update, patch and the writes of
// subresources have in common. Created by Registry's verbs, kept alive by the callbacks it waits
// for. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/apply/managed_fields.h"
#include "api/validation/validation.h"
#include "server/registry/registry.h"

namespace knarr::server {

class PatchBody;

class WriteFlow : public std::enable_shared_from_this<WriteFlow> {
 public:
  // From the live object in the request's version to what shall be; `exists` false: from nothing.
  // Of "scale" it works on Scale objects.
  using Transform = std::function<Result<json::Value>(const json::Value& live, bool exists)>;

  struct Options {
    bool may_create = false;    // what is not there is made
    bool tracks_fields = true;  // false: the transform writes managedFields itself (apply)
    // Instead of the answer's object; given the object as stored.
    std::function<Answer(const ObjectRef&)> answer;
  };

  WriteFlow(Registry& registry, RequestPtr request, Done done);

  // Decodes a body as the request's kind, with defaults; checks name and namespace against the URL.
  Result<json::Value> decode(const Body& body);
  // The same for what a patch or an apply has made.
  Result<json::Value> decode_patched(json::Value patched, const PatchBody& body);
  Result<json::Value> decode_applied(json::Value merged);
  Result<void> check_names(json::Value& object, bool name_required) const;
  api::Writer writer() const;

  void create(json::Value object);
  void modify(Transform transform, Options options);
  void fail(Error error);

 private:
  struct Prepared {
    json::Value value;  // storage version
    ObjectRef draft;    // revision 0
  };

  void turn();
  Result<Prepared> prepare_create(json::Value object);
  Result<void> may_create() const;
  void store_new(std::shared_ptr<Prepared> prepared, int attempts);
  Result<json::Value> changed_object(const ObjectRef& current, const json::Value& live_stored);
  Result<void> change_scale(json::Value& now, const json::Value& live, const ObjectRef& current);
  Result<void> check_versions(const json::Value& now, const ObjectRef& current) const;
  Result<void> admit_and_validate(json::Value& now, const json::Value& old);
  void prepare_change(json::Value& now, const json::Value& old);
  void finish_meta(json::Value& now, const json::Value& old) const;
  void store_change(const ObjectRef& current, const json::Value& old, json::Value now);
  void remove_finished(const ObjectRef& current, const json::Value& old, json::Value now);
  void answer(int code, ObjectRef object);
  void warn(std::vector<std::string> warnings);
  Result<void> check_kind(json::Value& patched, const PatchBody& body) const;
  // Unknown and duplicate fields: an error, warnings or nothing, as the client wants it.
  Result<void> strict(std::vector<std::string> problems, std::string_view shown);
  void undo();
  Error worded(Error error) const;
  AdmissionRequest admission(Operation operation, json::Value* object, const json::Value* old);
  StrategyContext context();
  api::ValidationTarget target() const;
  bool is_status() const { return request_->subresource() == "status"; }
  bool is_scale() const { return request_->subresource() == "scale"; }

  Registry& registry_;
  RequestPtr request_;
  Done done_;
  const api::ResourceInfo& resource_;
  const api::ResourceInfo& stored_;
  const Strategy& strategy_;
  std::string now_text_;
  std::string base_;        // generateName of what is created
  bool versioned_ = false;  // what is created came with a resourceVersion
  std::vector<std::function<void()>> undo_;
  Transform transform_;
  Options options_;
};

}  // namespace knarr::server
