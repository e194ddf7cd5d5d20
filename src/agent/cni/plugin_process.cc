#include "agent/cni/plugin_process.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/format.h"

namespace knarr::agent {

namespace {

constexpr char kLate[] = "context deadline exceeded";
constexpr char kDefaultPath[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::vector<std::string> whole_environment(
    const std::vector<std::pair<std::string, std::string>>& more) {
  std::vector<std::string> out;
  bool has_path = false;
  for (char** own = environ; *own != nullptr; own++) {
    std::string_view variable = *own;
    if (variable.starts_with("CNI_")) continue;
    has_path |= variable.starts_with("PATH=");
    out.emplace_back(variable);
  }
  if (!has_path) out.emplace_back(kDefaultPath);
  for (const auto& [name, value] : more) out.push_back(name + "=" + value);
  return out;
}

std::string ending_of(int64_t status, int signal) {
  if (signal == 0) return fmt::format("exit status {}", status);
  std::string name = strsignal(signal);
  for (char& c : name) c = static_cast<char>(tolower(static_cast<unsigned char>(c)));
  return "signal: " + name;
}

}  // namespace

// Kept by the handles that libuv has not let go of, so that their late callbacks find it.
class PluginProcess::Run : public std::enable_shared_from_this<Run> {
 public:
  Run(base::Loop& loop, PluginCall call, Done done)
      : loop_(loop),
        call_(std::move(call)),
        done_(std::move(done)),
        timeout_(loop.timer([this] { time_over(); })) {}

  void start() {
    for (Pipe* pipe : {&in_, &out_, &err_}) open_pipe(*pipe);
    process_ = new uv_process_t{};
    process_->data = new std::shared_ptr<Run>(shared_from_this());
    std::vector<std::string> variables = whole_environment(call_.environment);
    std::vector<char*> environment;
    for (std::string& v : variables) environment.push_back(v.data());
    environment.push_back(nullptr);
    char* argv[] = {call_.path.data(), nullptr};
    uv_stdio_container_t stdio[3];
    int i = 0;
    for (Pipe* pipe : {&in_, &out_, &err_}) {
      int flow = pipe == &in_ ? UV_READABLE_PIPE : UV_WRITABLE_PIPE;  // as the child sees it
      stdio[i].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | flow);
      stdio[i++].data.stream = reinterpret_cast<uv_stream_t*>(pipe->handle);
    }
    uv_process_options_t options{};
    options.file = call_.path.c_str();
    options.args = argv;
    options.env = environment.data();
    options.cwd = "/";
    options.flags = UV_PROCESS_DETACHED;  // a group of its own, to be killed whole
    options.stdio = stdio;
    options.stdio_count = 3;
    options.exit_cb = [](uv_process_t* process, int64_t status, int signal) {
      auto self = *static_cast<std::shared_ptr<Run>*>(process->data);
      self->exited(status, signal);
    };
    int failed = uv_spawn(loop_.uv(), process_, &options);
    if (failed != 0) {
      result_.ending = fmt::format("fork/exec {}: {}", call_.path, uv_strerror(failed));
      close_process();
      close_pipes();
      loop_.defer([self = shared_from_this()] { self->answer(); });
      return;
    }
    pid_ = process_->pid;
    timeout_->start(call_.timeout_ms);
    read(out_);
    read(err_);
    write_input();
  }

  // Nobody wants the answer any more.
  void abandon() {
    done_ = nullptr;
    kill_group();
    timeout_.reset();
    close_pipes();
  }

 private:
  struct Pipe {
    uv_pipe_t* handle = nullptr;
    std::string* to = nullptr;
    size_t most = 0;
  };

  void open_pipe(Pipe& pipe) {
    pipe.to = &pipe == &err_ ? &result_.diagnostics : &result_.output;
    pipe.most = &pipe == &err_ ? kMostDiagnostics : kMostOutput;
    pipe.handle = new uv_pipe_t{};
    uv_pipe_init(loop_.uv(), pipe.handle, 0);
    pipe.handle->data = new std::shared_ptr<Run>(shared_from_this());
  }

  static void close_pipe(Pipe& pipe) {
    uv_pipe_t* handle = std::exchange(pipe.handle, nullptr);
    if (handle == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* h) {
      delete static_cast<std::shared_ptr<Run>*>(h->data);
      delete reinterpret_cast<uv_pipe_t*>(h);
    });
  }

  void close_pipes() {
    for (Pipe* pipe : {&in_, &out_, &err_}) close_pipe(*pipe);
  }

  void close_process() {
    uv_process_t* process = std::exchange(process_, nullptr);
    if (process == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(process), [](uv_handle_t* h) {
      delete static_cast<std::shared_ptr<Run>*>(h->data);
      delete reinterpret_cast<uv_process_t*>(h);
    });
  }

  void read(const Pipe& pipe) {
    uv_read_start(
        reinterpret_cast<uv_stream_t*>(pipe.handle),
        [](uv_handle_t* h, size_t, uv_buf_t* buffer) {
          Run& self = **static_cast<std::shared_ptr<Run>*>(h->data);
          *buffer = uv_buf_init(self.buffer_, sizeof self.buffer_);
        },
        [](uv_stream_t* stream, ssize_t n, const uv_buf_t* buffer) {
          auto self = *static_cast<std::shared_ptr<Run>*>(stream->data);
          self->received(stream, n, buffer->base);
        });
  }

  void received(uv_stream_t* stream, ssize_t n, const char* bytes) {
    Pipe& pipe = stream == reinterpret_cast<uv_stream_t*>(out_.handle) ? out_ : err_;
    if (n < 0) {
      close_pipe(pipe);
      return finish();
    }
    size_t room = pipe.most - pipe.to->size();
    size_t size = static_cast<size_t>(n);
    pipe.to->append(bytes, std::min(room, size));
    if (size <= room || &pipe == &err_) return;  // of diagnostics the rest is dropped
    too_much_ = true;
    kill_group();
  }

  void write_input() {
    struct Write {
      uv_write_t request;
      std::shared_ptr<Run> run;
    };
    auto* write = new Write{{}, shared_from_this()};
    write->request.data = write;
    uv_buf_t buffer = uv_buf_init(call_.input.data(), static_cast<unsigned>(call_.input.size()));
    int failed = uv_write(&write->request, reinterpret_cast<uv_stream_t*>(in_.handle), &buffer, 1,
                          [](uv_write_t* request, int) {
                            auto* w = static_cast<Write*>(request->data);
                            close_pipe(w->run->in_);
                            delete w;
                          });
    if (failed == 0) return;
    delete write;
    close_pipe(in_);
  }

  void exited(int64_t status, int signal) {
    ended_ = true;
    result_.ok = status == 0 && signal == 0 && !too_much_ && !late_;
    result_.ending = late_ ? kLate : too_much_ ? "wrote too much" : ending_of(status, signal);
    close_process();
    finish();
  }

  // What it left behind may hold its outputs open when it has long ended.
  void time_over() {
    late_ = true;
    if (!ended_) return kill_group();
    result_.ok = false;
    result_.ending = kLate;
    close_pipes();
    answer();
  }

  // The group is there as long as the child has not been waited for.
  void kill_group() {
    if (pid_ > 0 && !ended_) kill(-pid_, SIGKILL);
  }

  void finish() {
    if (!ended_ || out_.handle != nullptr || err_.handle != nullptr) return;
    close_pipes();
    answer();
  }

  void answer() {
    timeout_.reset();
    if (auto done = std::exchange(done_, nullptr)) done(std::move(result_));
  }

  base::Loop& loop_;
  PluginCall call_;
  Done done_;
  std::unique_ptr<Timer> timeout_;
  uv_process_t* process_ = nullptr;
  Pipe in_, out_, err_;
  char buffer_[16384];
  int pid_ = 0;
  bool ended_ = false, late_ = false, too_much_ = false;
  PluginOutput result_;
};

PluginProcess::PluginProcess(base::Loop& loop, PluginCall call, Done done)
    : run_(std::make_shared<Run>(loop, std::move(call), std::move(done))) {
  run_->start();
}

PluginProcess::~PluginProcess() { run_->abandon(); }

}  // namespace knarr::agent
