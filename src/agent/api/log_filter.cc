#include "agent/api/log_filter.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/format.h"
#include "base/time.h"

namespace knarr::agent {

namespace {

constexpr int64_t kBlock = 16 * 1024;

Result<int64_t> number(const net::Query& query, const char* name, int64_t least) {
  std::string_view text = query.get(name);
  if (text.empty()) return int64_t{-1};
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return make_error(Code::kBadRequest,
                      fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax", text));
  }
  if (value < least) {
    auto details = std::make_shared<ErrorDetails>();
    std::string what = fmt::format("must be greater than or equal to {}", least);
    details->kind = "PodLogOptions";
    details->causes.push_back(
        {"FieldValueInvalid", fmt::format("Invalid value: {}: {}", value, what), name});
    return Error{
        Code::kInvalid,
        fmt::format("PodLogOptions \"\" is invalid: {}: Invalid value: {}: {}", name, value, what),
        details};
  }
  return value;
}

bool flag(const net::Query& query, const char* name) {
  std::string_view text = query.get(name);
  return query.has(name) && text != "false" && text != "0";
}

}  // namespace

Result<LogOptions> parse_log_options(const net::Query& query, int64_t now_us) {
  LogOptions o;
  o.follow = flag(query, "follow");
  o.previous = flag(query, "previous");
  o.timestamps = flag(query, "timestamps");
  o.stream = std::string(query.get("stream"));
  TRY_ASSIGN(o.tail_lines, number(query, "tailLines", 0));
  TRY_ASSIGN(o.limit_bytes, number(query, "limitBytes", 1));
  TRY_ASSIGN(int64_t since_seconds, number(query, "sinceSeconds", 1));
  if (since_seconds > 0) o.since_us = now_us - since_seconds * 1000000;
  if (std::string_view since = query.get("sinceTime"); !since.empty()) {
    TRY_ASSIGN(o.since_us, base::parse_time(since));
  }
  return o;
}

std::string LogFilter::feed(std::string_view bytes) {
  std::string out;
  while (!bytes.empty() && !limit_reached()) {
    size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      pending_ += bytes;
      break;
    }
    if (pending_.empty()) {
      show(bytes.substr(0, end), out);
    } else {
      pending_ += bytes.substr(0, end);
      show(std::exchange(pending_, {}), out);
    }
    bytes.remove_prefix(end + 1);
  }
  return out;
}

void LogFilter::show(std::string_view line, std::string& out) {
  size_t time_end = line.find(' ');
  size_t stream_end = time_end == line.npos ? line.npos : line.find(' ', time_end + 1);
  size_t tag_end = stream_end == line.npos ? line.npos : line.find(' ', stream_end + 1);
  if (tag_end == std::string_view::npos) return;  // not of this format
  std::string_view time = line.substr(0, time_end);
  std::string_view stream = line.substr(time_end + 1, stream_end - time_end - 1);
  bool partial = line[stream_end + 1] == 'P';
  if (options_.stream == "Stdout" && stream != "stdout") return;
  if (options_.stream == "Stderr" && stream != "stderr") return;
  if (options_.since_us > 0) {
    auto at = base::parse_time(time);
    if (at.ok() && *at < options_.since_us) return;
  }
  std::string text;
  if (options_.timestamps && !in_line_) text += std::string(time) + " ";
  text += line.substr(tag_end + 1);
  if (!partial) text += '\n';
  in_line_ = partial;
  if (options_.limit_bytes >= 0) {
    size_t left = static_cast<size_t>(options_.limit_bytes - shown_bytes_);
    text.resize(std::min(text.size(), left));
  }
  shown_bytes_ += static_cast<int64_t>(text.size());
  out += text;
}

Result<int64_t> tail_offset(int fd, int64_t lines) {
  int64_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return errno_error(errno, "seek log");
  if (lines == 0) return end;
  int64_t position = end, seen = 0;
  char block[kBlock];
  while (position > 0) {
    int64_t size = std::min(position, kBlock);
    position -= size;
    ssize_t n = pread(fd, block, static_cast<size_t>(size), position);
    if (n < 0) return errno_error(errno, "read log");
    for (int64_t i = n - 1; i >= 0; i--) {
      if (block[i] != '\n' || position + i == end - 1) continue;
      if (++seen == lines) return position + i + 1;
    }
  }
  return int64_t{0};
}

}  // namespace knarr::agent
