#include "server/registry/service_allocator.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/format.h"

namespace knarr::server {
namespace {

bool parse_address(const std::string& text, uint32_t& out) {
  in_addr a{};
  if (inet_pton(AF_INET, text.c_str(), &a) != 1) return false;
  out = ntohl(a.s_addr);
  return true;
}

std::string address_text(uint32_t address) {
  in_addr a{htonl(address)};
  char buffer[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &a, buffer, sizeof buffer);
  return buffer;
}

}  // namespace

Result<ServiceAllocator> ServiceAllocator::make(Options options, Random& random) {
  size_t slash = options.cidr.find('/');
  uint32_t base = 0;
  int prefix = -1;
  if (slash != std::string::npos) {
    std::from_chars(options.cidr.data() + slash + 1, options.cidr.data() + options.cidr.size(),
                    prefix);
  }
  if (slash == std::string::npos || !parse_address(options.cidr.substr(0, slash), base) ||
      prefix < 8 || prefix > 30) {
    return make_error(
        Code::kBadRequest,
        fmt::format("service CIDR {}: not an IPv4 network of /8 to /30", options.cidr));
  }
  base &= ~uint32_t(0) << (32 - prefix);
  return ServiceAllocator(std::move(options), random, base, prefix);
}

Result<void> ServiceAllocator::check_address(const std::string& address) const {
  uint32_t a = 0;
  if (!parse_address(address, a)) {
    return make_error(Code::kInvalid, "the provided IP (" + address + ") is not valid");
  }
  if (a <= base_ || a - base_ >= size() - 1) {
    return make_error(Code::kInvalid,
                      fmt::format("the provided IP ({}) is not in the valid range. The range of "
                                  "valid IPs is {}/{}",
                                  address, address_text(base_), prefix_));
  }
  return {};
}

Result<void> ServiceAllocator::take_address(const std::string& address) {
  TRY(check_address(address));
  uint32_t a = 0;
  parse_address(address, a);
  if (!addresses_.insert(a).second) {
    return make_error(Code::kInvalid, "provided IP is already allocated");
  }
  return {};
}

Result<std::string> ServiceAllocator::take_any_address() {
  // The lower part of the range is for those who choose their address (KEP-3070).
  uint32_t last = size() - 2;
  uint32_t reserved = std::min<uint32_t>(std::max<uint32_t>(16, size() / 16), 256);
  if (reserved >= last) reserved = 0;
  auto search = [&](uint32_t low, uint32_t high) -> uint32_t {
    if (low > high) return 0;
    uint32_t count = high - low + 1;
    uint32_t start = static_cast<uint32_t>(random_->below(count));
    for (uint32_t i = 0; i < count; i++) {
      uint32_t offset = low + (start + i) % count;
      if (addresses_.insert(base_ + offset).second) return offset;
    }
    return 0;
  };
  uint32_t offset = search(reserved + 1, last);
  if (offset == 0) offset = search(1, reserved);
  if (offset == 0) return make_error(Code::kInternalError, "range is full");
  return address_text(base_ + offset);
}

void ServiceAllocator::free_address(const std::string& address) {
  uint32_t a = 0;
  if (parse_address(address, a)) addresses_.erase(a);
}

Result<void> ServiceAllocator::take_port(int port) {
  if (port < options_.node_port_min || port > options_.node_port_max) {
    return make_error(Code::kInvalid,
                      fmt::format("provided port is not in the valid range. The range of valid "
                                  "ports is {}-{}",
                                  options_.node_port_min, options_.node_port_max));
  }
  if (!ports_.insert(port).second) {
    return make_error(Code::kInvalid, "provided port is already allocated");
  }
  return {};
}

Result<int> ServiceAllocator::take_any_port() {
  int count = options_.node_port_max - options_.node_port_min + 1;
  int start = static_cast<int>(random_->below(static_cast<uint64_t>(count)));
  for (int i = 0; i < count; i++) {
    int port = options_.node_port_min + (start + i) % count;
    if (ports_.insert(port).second) return port;
  }
  return make_error(Code::kInternalError, "range is full");
}

void ServiceAllocator::free_port(int port) { ports_.erase(port); }

void ServiceAllocator::hold(const json::Value& service) {
  const json::Value& spec = service["spec"];
  uint32_t a = 0;
  for (const json::Value& ip : spec["clusterIPs"].elements()) {
    if (parse_address(ip.text(), a)) addresses_.insert(a);
  }
  for (const json::Value& port : spec["ports"].elements()) {
    if (int p = static_cast<int>(port["nodePort"].as_int()); p != 0) ports_.insert(p);
  }
  if (int p = static_cast<int>(spec["healthCheckNodePort"].as_int()); p != 0) ports_.insert(p);
}

void ServiceAllocator::release(const json::Value& service) {
  const json::Value& spec = service["spec"];
  for (const json::Value& ip : spec["clusterIPs"].elements()) free_address(ip.text());
  for (const json::Value& port : spec["ports"].elements()) {
    free_port(static_cast<int>(port["nodePort"].as_int()));
  }
  free_port(static_cast<int>(spec["healthCheckNodePort"].as_int()));
}

std::string ServiceAllocator::network_address() const { return address_text(base_); }

std::string ServiceAllocator::nth_address(uint32_t n) const { return address_text(base_ + n); }

}  // namespace knarr::server
