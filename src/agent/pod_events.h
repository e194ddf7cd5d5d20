// Events of pods, told as the kubelet: the agent's PodEvents.
#pragma once

#include <string>

#include "agent/services.h"
#include "api/event_recorder.h"

namespace knarr::agent {

class KubeletEvents final : public PodEvents {
 public:
  KubeletEvents(client::Client& client, const Clock& clock, const std::string& node)
      : recorder_(client, clock, "kubelet", node) {}
  void normal(const Pod& pod, const std::string& field_path, std::string_view reason,
              std::string_view message) override;
  void warning(const Pod& pod, const std::string& field_path, std::string_view reason,
               std::string_view message) override;

 private:
  api::EventRecorder recorder_;
};

}  // namespace knarr::agent
