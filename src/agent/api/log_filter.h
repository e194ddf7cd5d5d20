// Container logs in CRI format, turned into what `kubectl logs` shows. Without I/O: bytes of the
// file in, text out.
//
// A line of the file is "<RFC 3339 nano> <stdout|stderr> <P|F> <text>"; P is a part of a longer
// line, whose newline comes with its last part, F.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "knarr/result.h"
#include "net/url.h"

namespace knarr::agent {

struct LogOptions {
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  int64_t tail_lines = -1;   // -1: all
  int64_t limit_bytes = -1;  // -1: none
  int64_t since_us = 0;      // wall time; 0: from the beginning
  std::string stream;        // "", "Stdout", "Stderr", "All"
};

// kInvalid with upstream's words for values that are out of range.
Result<LogOptions> parse_log_options(const net::Query& query, int64_t now_us);

class LogFilter {
 public:
  explicit LogFilter(const LogOptions& options) : options_(options) {}
  // Text to show; a line that is not complete in the file waits for the rest.
  std::string feed(std::string_view bytes);
  bool limit_reached() const {
    return options_.limit_bytes >= 0 && shown_bytes_ >= options_.limit_bytes;
  }

 private:
  void show(std::string_view line, std::string& out);

  LogOptions options_;
  std::string pending_;
  int64_t shown_bytes_ = 0;
  bool in_line_ = false;  // the last part shown was a P
};

// Where the last n lines of the file begin.
Result<int64_t> tail_offset(int fd, int64_t lines);

}  // namespace knarr::agent
