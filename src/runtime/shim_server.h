// The shim's requests and its children. See wire.h for the form, spec.h for the values:
//
//   hello                        -> pid
//   list                         -> containers: [ContainerProgress], execs: [id]
//   start LaunchSpec, blob       -> ContainerProgress
//   start_beside                 the same, in the pid namespace of another container
//   exec ExecSpec, fds           -> (tty: the master)
//   attach fds                   -> (input, if there is)
//   socket                       -> an unconnected TCP socket
//   signal, kill, close_stdin, reopen_log, forget, signal_exec
//   shutdown                     -> after all have ended; then the shim ends
//
// Unasked: "exit" with a ContainerProgress, "exec_exit" with id and code.
#pragma once

#include <sys/types.h>

#include <list>
#include <map>
#include <memory>
#include <string>

#include "runtime/poller.h"
#include "runtime/shim_container.h"
#include "runtime/spec.h"
#include "runtime/wire.h"

namespace knarr::runtime {

class ShimServer {
 public:
  // `init`: the first process of the pod's pid namespace, whose end is the sandbox's; 0: none. An
  // error of the set-up is every request's answer, and the end of the shim.
  ShimServer(SandboxRecord sandbox, const Result<int>& init)
      : sandbox_(std::move(sandbox)), init_(init.ok() ? *init : 0) {
    if (!init.ok()) setup_ = init.error();
  }

  int run(int listener, int signals);

 private:
  struct Connection {
    int id;
    base::UniqueFd fd;
    MessageReader reader;
    bool dead = false;
  };
  struct Request {  // who waits for an answer
    int connection = 0;
    int64_t number = 0;
  };
  struct Exec {
    ExecSpec spec;
    Request request;
    StatusPipe status;
    base::UniqueFd console;
    int pid = 0;
    bool answered = false;
    bool ended = false;
    int code = 0;
  };
  struct Entry {
    std::unique_ptr<ShimContainer> container;
    Request starter;
    bool answered = false;
    bool announced = false;  // its exit
    bool forgotten = false;
  };

  void accept_connection(int listener);
  void read_messages(Connection& connection);
  void handle(const Request& request, Message& message);
  Result<void> dispatch(const Request& request, const std::string& op, Message& in, Message& out,
                        bool& later);
  Result<void> start(const Request& request, Message& in);
  Result<void> exec(const Request& request, Message& in);
  Result<void> attach(Message& in, Message& out);
  Result<void> signal_exec(const json::Value& body);
  Result<ShimContainer*> find(const json::Value& body);
  Result<int> find_running(const std::string& id);
  void read_signals(int signals);
  void reap();
  void settle();
  void answer_exec(Exec& exec);
  void answer(const Request& request, Message message, const Result<void>& result);
  void send(Connection& connection, const Message& message);
  void announce(const Message& message);
  bool all_ended() const;
  void kill_everything();

  SandboxRecord sandbox_;
  Result<void> setup_;
  int init_;
  std::list<Connection> connections_;
  std::map<std::string, Entry> containers_;
  std::list<Exec> execs_;
  int next_connection_ = 1;
  bool stopping_ = false;
  std::list<Request> waiting_for_end_;
};

}  // namespace knarr::runtime
