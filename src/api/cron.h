// Cron schedules, as CronJob has them: five fields, @hourly and friends, @every, CRON_TZ=. Pure:
// the zone's offset is a function that the caller brings.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::api {

// Seconds east of UTC at a moment (seconds since the epoch).
using ZoneOffset = std::function<int64_t(int64_t unix_seconds)>;

class CronSchedule {
 public:
  // Errors in upstream's words: `expected exactly 5 fields, found 1: [bad]`.
  static Result<CronSchedule> parse(std::string_view text);

  // The first moment after `unix_seconds` that the schedule names, in the zone (UTC when empty).
  // nullopt when there is none within five years.
  std::optional<int64_t> next(int64_t unix_seconds, const ZoneOffset& zone = {}) const;

  // What stood behind TZ= or CRON_TZ=; empty when nothing did.
  const std::string& zone_name() const { return zone_name_; }

 private:
  bool day_matches(int day, int month, int weekday) const;

  uint64_t minute_ = 0;  // bit sets
  uint64_t hour_ = 0;
  uint64_t day_ = 0;
  uint64_t month_ = 0;
  uint64_t weekday_ = 0;
  bool day_star_ = false;
  bool weekday_star_ = false;
  int64_t every_seconds_ = 0;  // of @every; else 0
  std::string zone_name_;
};

// The offset function of a TZif file (RFC 8536), from its bytes.
Result<ZoneOffset> parse_tzif(std::string_view bytes);

}  // namespace knarr::api
