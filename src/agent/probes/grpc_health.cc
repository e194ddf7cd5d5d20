#include "agent/probes/grpc_health.h"

#include <cstdint>
#include <iterator>

#include "base/format.h"

namespace knarr::agent {

namespace {

constexpr size_t kPrefix = 5;

constexpr const char* kCodes[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};
constexpr const char* kStates[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// The first field's value; 0, its default, when it is not there.
uint64_t state_of(std::string_view message) {
  if (message.size() < 2 || message[0] != 0x08) return 0;
  uint64_t value = 0;
  int shift = 0;
  for (char c : message.substr(1, 9)) {
    value |= static_cast<uint64_t>(c & 0x7f) << shift;
    if ((c & 0x80) == 0) break;
    shift += 7;
  }
  return value;
}

int number_of(std::string_view text) {
  int value = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || value > 99) return -1;
    value = value * 10 + (c - '0');
  }
  return text.empty() ? -1 : value;
}

}  // namespace

std::string health_request(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message += '\x0a';
    append_varint(message, service.size());
    message += service;
  }
  std::string frame(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(message.size() >> shift);
  return frame + message;
}

HealthAnswer health_answer(std::string_view code, std::string_view message, std::string_view body) {
  int number = number_of(code);
  if (number == 12) {
    return {false, fmt::format("error: this server does not implement the grpc health protocol "
                               "(grpc.health.v1.Health): {}",
                               message)};
  }
  if (number != 0) {
    bool known = number > 0 && number < static_cast<int>(std::size(kCodes));
    return {false, fmt::format("error: health rpc probe failed: rpc error: code = {} desc = {}",
                               known ? kCodes[number] : "Unknown", message)};
  }
  uint64_t state = state_of(body.substr(std::min(body.size(), kPrefix)));
  if (state == 1) return {true, "service healthy"};
  std::string name = state < std::size(kStates) ? kStates[state] : std::to_string(state);
  return {false, fmt::format("service unhealthy (responded with \"{}\")", name)};
}

}  // namespace knarr::agent
