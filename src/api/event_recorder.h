// Tells users what a component did, as Event objects, and keeps them few: the same thing said again
// raises a count, ten alike in ten minutes are told as one, and one object gets at most 25 in a
// burst and one more every five minutes. Events are best effort: a failed write is dropped.
//
// Loop thread. Nothing waits for an event.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"
#include "knarr/client.h"
#include "knarr/clock.h"

namespace knarr::api {

enum class EventType { kNormal, kWarning };

class EventRecorder {
 public:
  // kCore: source.component, timestamps and count (controllers, kubelet). kSeries: events.k8s.io's
  // way with eventTime, action and series (scheduler).
  enum class Style { kCore, kSeries };

  EventRecorder(client::Client& client, const Clock& clock, std::string component,
                std::string host = {}, Style style = Style::kCore);

  // `object` is the whole object, or an object reference (has no "metadata") to be used as it is.
  void record(const json::Value& object, EventType type, std::string_view reason,
              std::string_view message, std::string_view action = {});

 private:
  struct Told {
    std::string ns, name;
    int64_t count = 1;
    int64_t last_us = 0;
    bool series_told = false;
  };
  struct Alike {
    std::set<std::string> messages;
    int64_t last_us = 0;
  };
  struct Budget {
    double tokens = 25;
    int64_t last_us = 0;
  };
  bool allowed(const std::string& object_key);
  std::string aggregate(const std::string& key, std::string& message);
  void create(json::Value event, const std::string& key, const std::string& ns,
              const std::string& base_name);
  void patch_core(Told& told, const std::string& message);
  void patch_series(Told& told);
  void send_patch(const Told& told, const json::Value& patch);

  client::Client& client_;
  const Clock& clock_;
  std::string component_;
  std::string host_;
  Style style_;
  int64_t sequence_;
  std::map<std::string, Told> told_;
  std::map<std::string, Alike> alike_;
  std::map<std::string, Budget> budgets_;
};

}  // namespace knarr::api
