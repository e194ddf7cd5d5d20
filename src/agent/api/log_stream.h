// One answer to a request for a container's log: the file, filtered, and followed while the
// container runs. It waits for inotify and for the peer, never for a timer.
//
//   kSeeking (where the last lines begin) -> kCatchingUp (what is there) -> kFollowing -> kOver
//
// A log may have a hundred megabytes: until its end it is read elsewhere, one piece at a time. What
// comes after that was written just now, and is read on the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/api/log_filter.h"
#include "agent/offload.h"
#include "base/loop.h"
#include "base/unique_fd.h"
#include "net/http.h"

namespace knarr::agent {

class LogStream : public std::enable_shared_from_this<LogStream> {
 public:
  struct Source {
    std::string path;
    std::function<bool()> running;  // whether more may come
  };
  // Answers 200 at once. Keeps itself alive until it is over; `over` is called then.
  static Result<std::shared_ptr<LogStream>> start(base::Loop& loop, Offload& offload,
                                                  net::ExchangePtr exchange, Source source,
                                                  LogOptions options, std::function<void()> over);
  // The container may have ended.
  void check();

  LogStream(base::Loop& loop, Offload& offload, net::ExchangePtr exchange, Source source,
            LogOptions options, std::function<void()> over);

 private:
  enum class State { kSeeking, kCatchingUp, kFollowing, kOver };
  struct Reader;

  Result<void> open();
  void seek();
  void go_on();
  void read_piece();
  void piece_read(bool at_end);
  void follow();
  bool reopen_rotated();
  void finish();

  base::Loop& loop_;
  Offload& offload_;
  net::ExchangePtr exchange_;
  Source source_;
  LogOptions options_;
  std::function<void()> over_;
  std::shared_ptr<Reader> reader_;  // the other thread's while busy_
  base::UniqueFd inotify_;
  std::unique_ptr<base::FdWatch> watch_;
  State state_ = State::kSeeking;
  bool busy_ = false;
  bool waiting_ = false;  // for the peer to take what was written
};

}  // namespace knarr::agent
