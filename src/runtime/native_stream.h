// The streams of one process in a container, as knarr holds them: pipes or a terminal's master.
// Data goes between the process and here directly; only that it ended is told by the shim.
//
// The end: the exit code is known, and what the pipes held has been delivered. A process that left
// children behind with its pipes open ends too: what they write later is nobody's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "runtime/native.h"

namespace knarr::runtime {

class ProcessStream final : public Stream {
 public:
  struct Ends {
    base::UniqueFd in;
    base::UniqueFd out;
    base::UniqueFd err;
    bool tty = false;
    bool takes_input = true;
  };

  // exec_id empty: an attach to the container.
  ProcessStream(NativeRuntime& runtime, std::string container, std::string exec_id, Ends ends,
                StreamListener& listener);
  ~ProcessStream() override;

  void write_stdin(std::string_view bytes, std::function<void()> written) override;
  void close_stdin() override;
  void resize(uint16_t columns, uint16_t rows) override;
  void pause() override;
  void resume() override;

  void start();  // reading; not before the caller has the stream
  void process_exited(int code);
  void container_exited(const std::string& id, int code);
  const std::string& container() const { return container_; }

 private:
  struct Source {
    base::UniqueFd fd;
    std::unique_ptr<base::FdWatch> watch;
  };
  void read_source(int index);
  // True while there may be more right now.
  bool read_once(int index);
  void drain_and_end();
  void write_some();
  void end_container_input();

  NativeRuntime& runtime_;
  const std::string container_;
  const std::string exec_id_;
  const bool tty_;
  const bool takes_input_;
  StreamListener& listener_;
  Source sources_[2];
  base::UniqueFd input_;
  std::unique_ptr<base::FdWatch> input_watch_;
  std::deque<std::pair<std::string, std::function<void()>>> to_write_;
  bool close_input_ = false;
  bool paused_ = false;
  bool started_ = false;
  bool ended_ = false;
  std::optional<int> exit_code_;
  std::weak_ptr<bool> runtime_alive_;
  std::shared_ptr<bool> self_ = std::make_shared<bool>(true);  // a listener may destroy us
};

}  // namespace knarr::runtime
