// A registry of made-up images on a loopback port, with the faults that tests ask for.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "archive.h"

namespace knarr::runtime {

class FakeRegistry {
 public:
  enum class Auth { kNone, kBasic, kBearer };
  explicit FakeRegistry(Auth auth = Auth::kNone);
  ~FakeRegistry();

  // "127.0.0.1:<port>"
  std::string host() const;
  void add(const std::string& repository, const std::string& tag, const MadeImage& image);
  // An index under a tag, of manifests added before.
  void add_manifest(const std::string& repository, const std::string& tag, const std::string& body,
                    const std::string& media_type);
  void set_blob(const std::string& digest, const std::string& bytes);
  // The next n requests for big blobs break off in the middle.
  void cut_blobs(int n) { cut_ = n; }
  void fail_requests(int n, int status) { fail_status_ = status, fail_ = n; }
  void redirect_blobs(bool on) { redirect_ = on; }
  // Blob requests wait until released.
  void hold_blobs(bool on) { hold_ = on; }

  // Called after each request is logged, on a thread of the registry. Set before the first request.
  void on_request(std::function<void()> fn) { on_request_ = std::move(fn); }

  // "GET /v2/... Range" of what was asked, in order.
  std::vector<std::string> log() const;
  size_t count(const std::string& what) const;

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  Auth auth_;
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<std::string, std::string>> manifests_;  // type, body
  std::map<std::string, std::string> blobs_;
  std::vector<std::string> log_;
  std::function<void()> on_request_;
  std::atomic<int> cut_ = 0;
  std::atomic<int> fail_ = 0;
  std::atomic<int> fail_status_ = 500;
  std::atomic<bool> redirect_ = false;
  std::atomic<bool> hold_ = false;
};

}  // namespace knarr::runtime
