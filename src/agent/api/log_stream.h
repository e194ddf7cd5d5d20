// One answer to a request for a container's log: the file, filtered, and followed while the
// container runs. It waits for inotify and for the peer, never for a timer.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/api/log_filter.h"
#include "base/loop.h"
#include "base/unique_fd.h"
#include "net/http.h"

namespace knarr::agent {

class LogStream : public std::enable_shared_from_this<LogStream> {
 public:
  // `running` tells whether more may come. Answers 200 at once. Keeps itself alive until it is
  // over; `over` is called then.
  static Result<std::shared_ptr<LogStream>> start(base::Loop& loop, net::ExchangePtr exchange,
                                                  const std::string& path, LogOptions options,
                                                  std::function<bool()> running,
                                                  std::function<void()> over);
  // The container may have ended.
  void check();

  LogStream(base::Loop& loop, net::ExchangePtr exchange, std::string path, LogOptions options,
            std::function<bool()> running, std::function<void()> over);

 private:
  Result<void> open();
  void pump();
  bool reopen_rotated();
  void finish();

  base::Loop& loop_;
  net::ExchangePtr exchange_;
  std::string path_;
  LogOptions options_;
  LogFilter filter_;
  std::function<bool()> running_;
  std::function<void()> over_;
  base::UniqueFd file_;
  base::UniqueFd inotify_;
  std::unique_ptr<base::FdWatch> watch_;
  bool waiting_ = false;  // for the peer to take what was written
  bool finished_ = false;
};

}  // namespace knarr::agent
