// Answers of other name servers, kept as long as they allow and at most half a minute; also that
// there is no such name. So many at most: the one that was not asked for the longest time makes
// room. No timer: what is over is found when it is asked for. Loop thread.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "net/dns.h"

namespace knarr::agent {

class DnsCache {
 public:
  static constexpr uint32_t kMostSeconds = 30;
  static constexpr size_t kMostRecords = 64;  // of one answer
  static constexpr size_t kMostBytes = 4096;  // of one answer, as it came

  explicit DnsCache(size_t most_entries) : most_entries_(most_entries) {}

  struct Key {
    std::string zone;  // that decided whom to ask
    std::string name;  // lower case
    uint16_t type = net::dns::kA;
    auto operator<=>(const Key&) const = default;
  };
  // Keeps it if it may be kept.
  void put(const Key& key, const net::dns::Message& answer, int64_t now_ms);
  // Its rcode and sections, with what is left of their time.
  std::optional<net::dns::Message> find(const Key& key, int64_t now_ms);
  void clear();
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    net::dns::Message answer;
    int64_t put_ms = 0;
    int64_t until_ms = 0;
    std::list<Key>::iterator use;
  };
  size_t most_entries_;
  std::map<Key, Entry> entries_;
  std::list<Key> uses_;  // the last used first
};

// How long an answer may be kept; 0: not at all.
uint32_t cache_seconds(const net::dns::Message& answer);

}  // namespace knarr::agent
