#include "agent/dns/cache.h"

#include <algorithm>

namespace knarr::agent {

namespace dns = net::dns;

namespace {

using Records = std::vector<dns::Record>;

// Names within data that is not understood may lead elsewhere in the message it came with.
bool is_understood(const Records& records) {
  return std::none_of(records.begin(), records.end(), [](const dns::Record& r) {
    return std::holds_alternative<dns::Raw>(r.data);
  });
}

}  // namespace

uint32_t cache_seconds(const dns::Message& m) {
  if (m.truncated || (m.rcode != dns::kNoError && m.rcode != dns::kNxDomain)) return 0;
  size_t count = m.answers.size() + m.authorities.size() + m.additionals.size();
  if (count > DnsCache::kMostRecords) return 0;
  uint32_t least = DnsCache::kMostSeconds;
  bool told = !m.answers.empty() && m.rcode == dns::kNoError;
  for (const Records* records : {&m.answers, &m.authorities, &m.additionals}) {
    if (!is_understood(*records)) return 0;
    for (const dns::Record& r : *records) {
      least = std::min(least, r.ttl_seconds);
      const auto* soa = std::get_if<dns::Soa>(&r.data);
      if (soa == nullptr || records != &m.authorities) continue;
      told = true;
      if (m.answers.empty() || m.rcode != dns::kNoError) least = std::min(least, soa->minimum);
    }
  }
  return told ? least : 0;
}

void DnsCache::put(const Key& key, const dns::Message& answer, int64_t now_ms) {
  uint32_t seconds = cache_seconds(answer);
  if (seconds == 0 || most_entries_ == 0) return;
  auto found = entries_.find(key);
  if (found != entries_.end()) {
    uses_.erase(found->second.use);
    entries_.erase(found);
  } else if (entries_.size() == most_entries_) {
    entries_.erase(uses_.back());
    uses_.pop_back();
  }
  uses_.push_front(key);
  Entry& entry = entries_[key];
  entry.answer.rcode = answer.rcode;
  entry.answer.answers = answer.answers;
  entry.answer.authorities = answer.authorities;
  entry.answer.additionals = answer.additionals;
  entry.put_ms = now_ms;
  entry.until_ms = now_ms + static_cast<int64_t>(seconds) * 1000;
  entry.use = uses_.begin();
}

std::optional<dns::Message> DnsCache::find(const Key& key, int64_t now_ms) {
  auto found = entries_.find(key);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  if (now_ms >= entry.until_ms) {
    uses_.erase(entry.use);
    entries_.erase(found);
    return {};
  }
  uses_.splice(uses_.begin(), uses_, entry.use);
  dns::Message out = entry.answer;
  auto age = static_cast<uint32_t>((now_ms - entry.put_ms) / 1000);
  for (Records* records : {&out.answers, &out.authorities, &out.additionals}) {
    for (dns::Record& r : *records) r.ttl_seconds -= std::min(r.ttl_seconds, age);
  }
  return out;
}

void DnsCache::clear() {
  entries_.clear();
  uses_.clear();
}

}  // namespace knarr::agent
