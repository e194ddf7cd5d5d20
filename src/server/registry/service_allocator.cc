#include "server/registry/service_allocator.h"

#include <algorithm>

#include "api/ip_list.h"
#include "base/format.h"

namespace knarr::server {

Result<ServiceAllocator> ServiceAllocator::make(Options options, Random& random) {
  ServiceAllocator out(std::move(options), random);
  for (const std::string& text : api::split_list(out.options_.cidr)) {
    auto range = api::Cidr::parse(text);
    if (!range || range->prefix < 8 || range->prefix > range->address.bits() - 2) {
      return make_error(
          Code::kBadRequest,
          fmt::format("service CIDR {}: not a network of /8 to /30, or in IPv6 /126", text));
    }
    if (out.range(range->address.v6) != nullptr) {
      return make_error(Code::kBadRequest,
                        fmt::format("service CIDR {}: a second of its IP family", text));
    }
    out.ranges_.emplace_back(*range, random);
    out.families_.emplace_back(api::family_name(range->address.v6));
  }
  if (out.ranges_.empty()) return make_error(Code::kBadRequest, "no service CIDR");
  return out;
}

AddressRange* ServiceAllocator::range(bool v6) {
  for (AddressRange& r : ranges_) {
    if (r.v6() == v6) return &r;
  }
  return nullptr;
}

const AddressRange* ServiceAllocator::range(bool v6) const {
  return const_cast<ServiceAllocator*>(this)->range(v6);
}

Result<void> ServiceAllocator::check_address(const std::string& address) const {
  const AddressRange* r = range(api::is_v6(address));
  return (r == nullptr ? ranges_[0] : *r).check(address);
}

Result<void> ServiceAllocator::take_address(const std::string& address) {
  AddressRange* r = range(api::is_v6(address));
  return (r == nullptr ? ranges_[0] : *r).take(address);
}

Result<std::string> ServiceAllocator::take_any_address(bool v6) {
  AddressRange* r = range(v6);
  if (r == nullptr) {
    return make_error(Code::kInternalError,
                      fmt::format("{} is not configured on this cluster", api::family_name(v6)));
  }
  return r->take_any();
}

void ServiceAllocator::free_address(const std::string& address) {
  if (AddressRange* r = range(api::is_v6(address))) r->free(address);
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
  for (const json::Value& ip : spec["clusterIPs"].elements()) {
    if (AddressRange* r = range(api::is_v6(ip.as_string()))) r->hold(ip.text());
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

std::string ServiceAllocator::network_address(bool v6) const {
  const AddressRange* r = range(v6);
  return (r == nullptr ? ranges_[0] : *r).nth(0);
}

std::string ServiceAllocator::nth_address(uint64_t n) const { return ranges_[0].nth(n); }

std::vector<std::string> ServiceAllocator::cidrs() const {
  std::vector<std::string> out;
  for (const AddressRange& r : ranges_) out.push_back(r.text());
  return out;
}

}  // namespace knarr::server
