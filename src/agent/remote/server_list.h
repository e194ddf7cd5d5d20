// Where the cluster's servers are: the addresses that a node was told, then those that it has
// learnt, which its disk remembers. Each client goes through them on its own. Loop thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace knarr::agent {

class ServerBook {
 public:
  // "https://host:6443", at least one. What was learnt before is read from `file`, and what is
  // learnt is kept there; without one it is forgotten.
  explicit ServerBook(std::vector<std::string> told, std::string file = {});

  const std::vector<std::string>& urls() const { return urls_; }
  // In place of what was learnt before.
  void learn(const std::vector<std::string>& urls);

 private:
  void put_together(const std::vector<std::string>& learnt);

  std::vector<std::string> told_;
  std::string file_;
  std::vector<std::string> learnt_;
  std::vector<std::string> urls_;
};

// The server that one client asks now. Shared by its calls and watches.
class ServerList {
 public:
  ServerList() = default;  // of none: to be assigned
  ServerList(std::shared_ptr<const ServerBook> book);
  ServerList(std::vector<std::string> urls);
  ServerList(std::initializer_list<std::string> urls)
      : ServerList(std::vector<std::string>(urls)) {}

  const std::string& current() const { return current_; }
  void answered(const std::string& url);
  // The next one, if `url` is still the one that is asked: many calls fail at once with it. One
  // that has answered is asked for some seconds more, as it may only be restarting while others may
  // not be reachable from here at all.
  void failed(const std::string& url, int64_t now_ms);

 private:
  std::shared_ptr<const ServerBook> book_;
  std::string current_;
  bool good_ = false;              // it has answered
  int64_t failing_since_ms_ = -1;  // when it is good
};

}  // namespace knarr::agent
