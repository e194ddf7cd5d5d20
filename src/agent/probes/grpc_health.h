// grpc.health.v1.Health/Check as bytes: what a probe sends, and what the answer says. Pure.
#pragma once

#include <string>
#include <string_view>

namespace knarr::agent {

// A frame: a flag byte, a 4-byte length, and the message, whose field 1 is the service's name.
std::string health_request(std::string_view service);

struct HealthAnswer {
  bool serving = false;
  std::string text;  // in a kubelet's words
};
// `code` is grpc-status as it came ("" when it did not), `message` grpc-message.
HealthAnswer health_answer(std::string_view code, std::string_view message, std::string_view body);

}  // namespace knarr::agent
