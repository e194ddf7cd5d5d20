// Writes pod statuses to the API: the newest of each pod, one request a pod at a time, tried again
// until the API has it; and deletes the objects of pods that are finished. The agent's StatusSink.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/services.h"
#include "knarr/client.h"

namespace knarr::agent {

class StatusWriter final : public StatusSink {
 public:
  StatusWriter(client::Client& client, Clock& clock);
  ~StatusWriter() override;

  void set(const PodRef& pod, json::Value status) override;
  void finish(const PodRef& pod) override;
  // The pod's object as the API has it. Conditions that are not as they were written (the server
  // gave up on this node for a while) are written again.
  void observe(const PodRef& pod);
  // The pod's object is gone.
  void forget(const std::string& pod_uid);
  // What was written last, for a pod whose object has not caught up; null when nothing was.
  const json::Value* last(const std::string& pod_uid) const;

 private:
  struct Entry {
    PodRef pod;
    json::Value wanted;
    json::Value written;   // null: nothing yet
    int64_t revision = 0;  // of the object with it
    bool finish = false;
    bool finish_sent = false;
    bool busy = false;
    int64_t delay_ms = 0;
    std::unique_ptr<Timer> retry;
  };
  void step(const std::string& uid);
  void answered(const std::string& uid, const json::Value& sent, const Result<ObjectRef>& reply);
  void failed(const std::string& uid, Entry& entry, const Error& error);

  client::Client& client_;
  Clock& clock_;
  std::map<std::string, Entry> entries_;  // by uid
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
