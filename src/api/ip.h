// IP addresses and CIDR blocks as the API writes them. Strict where Go's netip is: no leading
// zeros, no zones.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knarr::api {

struct IpAddress {
  bool v6 = false;
  std::array<uint8_t, 16> bytes{};  // the first four of a v4 address

  // nullopt when it is not one. ::ffff:1.2.3.4 stays v6 (see is_v4_mapped).
  static std::optional<IpAddress> parse(std::string_view text);
  std::string text() const;  // canonical: RFC 5952

  bool is_v4_mapped() const;
  bool is_unspecified() const;
  bool is_loopback() const;
  bool is_link_local_unicast() const;
  bool is_link_local_multicast() const;
  bool is_multicast() const;
  int bits() const { return v6 ? 128 : 32; }

  // The address `offset` further; nullopt past the end of the family.
  std::optional<IpAddress> plus(uint64_t offset) const;
  auto operator<=>(const IpAddress&) const = default;
};

struct Cidr {
  IpAddress address;  // as written: may have bits beyond the prefix
  int prefix = 0;

  static std::optional<Cidr> parse(std::string_view text);
  std::string text() const;
  IpAddress network() const;  // without the bits beyond the prefix
  IpAddress last() const;
  bool is_canonical_network() const { return address == network(); }
  bool contains(const IpAddress& ip) const;
  bool contains(const Cidr& other) const;
  bool overlaps(const Cidr& other) const;
  bool operator==(const Cidr&) const = default;
};

}  // namespace knarr::api
