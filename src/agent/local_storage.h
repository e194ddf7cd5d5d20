// The node's part of local volumes: keeps the folder that they are directories of (makes it when it
// is new, touches nothing where it is not what it was, volumes/local_root.h), and when one of its
// volumes is deleted, removes the directory, then the volume's finalizer.
//
//   volume is being deleted, nothing else holds it -> the server confirms that -> directory
//   (elsewhere) -> finalizer; what fails is told as an event of the volume, and tried again
//
// The watch may tell what is remembered of a server that is away: so the server is asked, by a dry
// run of what follows, before anything is removed.
//
// Watches the volumes that are labelled as this node's. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/offload.h"
#include "api/event_recorder.h"
#include "base/json.h"
#include "knarr/client.h"
#include "knarr/clock.h"

namespace knarr::agent {

class LocalStorage final : public client::WatchHandler {
 public:
  struct Deps {
    client::Client& client;
    Clock& clock;
    Offload& offload;
  };
  // `root` is absolute; `note_path` that of the note of folders.
  LocalStorage(Deps deps, std::string node, std::string root, std::string note_path);
  ~LocalStorage() override;

  void start();

  void on_upsert(const ObjectRef& object) override;
  void on_delete(const ObjectRef& last) override;

 private:
  struct Removal {
    json::Value volume;  // the newest
    bool busy = false;
    bool again = false;  // when the timer says so
  };
  void remove(const std::string& name);
  void confirmed(const std::string& name, const std::string& entry);
  client::Request release_request(const std::string& name);
  void failed(const std::string& name, const Error& error);
  void again_later(const std::string& name);
  void removed(const std::string& name, const Result<void>& result);
  void release(const std::string& name);
  void try_again();

  Deps deps_;
  std::string node_, root_, note_path_;
  api::EventRecorder recorder_;
  std::map<std::string, Removal> removals_;  // by name of the volume
  int64_t retry_ms_ = 0;
  std::unique_ptr<Timer> retry_;
  std::unique_ptr<client::Watch> watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
