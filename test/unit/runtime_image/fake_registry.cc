#include "fake_registry.h"

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/base64.h"
#include "base/format.h"
#include "runtime/image/digest.h"

namespace knarr::runtime {

struct FakeRegistry::Server {
  httplib::Server http;
  int port = 0;
  std::thread thread;
};

FakeRegistry::FakeRegistry(Auth auth) : server_(std::make_unique<Server>()), auth_(auth) {
  httplib::Server& http = server_->http;
  http.set_pre_routing_handler([this](const httplib::Request& req, httplib::Response& res) {
    using Handled = httplib::Server::HandlerResponse;
    {
      std::lock_guard lock(mutex_);
      log_.push_back(req.method + " " + req.path + " " + req.get_header_value("Range"));
    }
    if (on_request_) on_request_();
    if (fail_ > 0) {
      --fail_;
      res.status = fail_status_;
      return Handled::Handled;
    }
    if (req.path == "/token" || req.path.rfind("/storage/", 0) == 0) return Handled::Unhandled;
    std::string given = req.get_header_value("Authorization");
    bool open = auth_ == Auth::kNone ||
                (auth_ == Auth::kBasic && given == "Basic " + base::base64_encode("user:pass")) ||
                (auth_ == Auth::kBearer && given == "Bearer good");
    if (open) return Handled::Unhandled;
    res.status = 401;
    res.set_header("WWW-Authenticate",
                   auth_ == Auth::kBasic
                       ? std::string("Basic realm=\"r\"")
                       : fmt::format("Bearer realm=\"http://{}/token\",service=\"s\"{}", host(),
                                     given.empty() ? "" : ",error=\"insufficient_scope\""));
    return Handled::Handled;
  });
  http.Get("/token", [](const httplib::Request& req, httplib::Response& res) {
    bool known =
        req.get_header_value("Authorization") == "Basic " + base::base64_encode("user:pass");
    bool scoped = req.get_param_value("scope").rfind("repository:", 0) == 0;
    res.set_content(known && scoped ? R"({"token":"good"})" : R"({"token":"anonymous"})",
                    "application/json");
  });
  http.Get(R"(/v2/(.+)/manifests/([^/]+))",
           [this](const httplib::Request& req, httplib::Response& res) {
             std::lock_guard lock(mutex_);
             auto it = manifests_.find(req.matches[1].str() + "/" + req.matches[2].str());
             if (it == manifests_.end()) {
               res.status = 404;
               return;
             }
             res.set_header("Docker-Content-Digest", digest_of(it->second.second));
             res.set_content(it->second.second, it->second.first.c_str());
           });
  auto blob = [this](const httplib::Request& req, httplib::Response& res) {
    while (hold_) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::string digest = req.matches[req.matches.size() - 1];
    if (redirect_ && req.path.rfind("/v2/", 0) == 0) {
      // As storage behind a registry does: it refuses the registry's credentials.
      res.status = 307;
      res.set_header("Location",
                     fmt::format("http://localhost:{}/storage/{}", server_->port, digest));
      return;
    }
    if (req.path.rfind("/storage/", 0) == 0 && req.has_header("Authorization")) {
      res.status = 400;
      return;
    }
    std::string bytes;
    {
      std::lock_guard lock(mutex_);
      auto it = blobs_.find(digest);
      if (it == blobs_.end()) {
        res.status = 404;
        return;
      }
      bytes = it->second;
    }
    if (cut_ > 0 && bytes.size() > 10000) {
      --cut_;
      size_t half = bytes.size() / 2;
      res.set_content_provider(bytes.size(), "application/octet-stream",
                               [bytes, half](size_t offset, size_t, httplib::DataSink& sink) {
                                 if (offset >= half) return false;
                                 return sink.write(bytes.data() + offset, half - offset);
                               });
      return;
    }
    res.set_content(bytes, "application/octet-stream");  // the server cuts out a Range itself
  };
  http.Get(R"(/v2/(.+)/blobs/([^/]+))", blob);
  http.Get(R"(/storage/([^/]+))", blob);
  server_->port = http.bind_to_any_port("127.0.0.1");
  server_->thread = std::thread([this] { server_->http.listen_after_bind(); });
  while (!http.is_running()) std::this_thread::yield();
}

FakeRegistry::~FakeRegistry() {
  hold_ = false;
  server_->http.stop();
  server_->thread.join();
}

std::string FakeRegistry::host() const { return fmt::format("127.0.0.1:{}", server_->port); }

void FakeRegistry::add(const std::string& repository, const std::string& tag,
                       const MadeImage& image) {
  for (size_t i = 0; i < image.layers.size(); ++i)
    set_blob(image.layer_digests[i], image.layers[i]);
  set_blob(image.config_digest, image.config);
  add_manifest(repository, tag, image.manifest, "application/vnd.oci.image.manifest.v1+json");
}

void FakeRegistry::add_manifest(const std::string& repository, const std::string& tag,
                                const std::string& body, const std::string& media_type) {
  std::lock_guard lock(mutex_);
  manifests_[repository + "/" + tag] = {media_type, body};
  manifests_[repository + "/" + digest_of(body)] = {media_type, body};
}

void FakeRegistry::set_blob(const std::string& digest, const std::string& bytes) {
  std::lock_guard lock(mutex_);
  blobs_[digest] = bytes;
}

std::vector<std::string> FakeRegistry::log() const {
  std::lock_guard lock(mutex_);
  return log_;
}

size_t FakeRegistry::count(const std::string& what) const {
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(log_.begin(), log_.end(), [&](const std::string& line) {
    return line.find(what) != std::string::npos;
  }));
}

}  // namespace knarr::runtime
