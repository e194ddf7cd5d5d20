#include "agent/local_api.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/json.h"
#include "net/url.h"
#include "runtime/image/image_store.h"

namespace knarr::agent {

using json::Value;

namespace {

int status_of(Code code) {
  switch (code) {
    case Code::kNotFound: return 404;
    case Code::kInvalid:
    case Code::kBadRequest: return 400;
    case Code::kConflict: return 409;
    default: return 500;
  }
}

void reply(const net::ExchangePtr& exchange, const Value& value) {
  exchange->respond(200, {{"Content-Type", "application/json"}}, json::write(value));
}

void refuse(const net::ExchangePtr& exchange, const Error& error) {
  exchange->respond(status_of(error.code), {{"Content-Type", "application/json"}},
                    json::write(Value::object({{"message", error.message}})));
}

Value describe(const std::vector<runtime::ImageRef>& images) {
  auto names = [](const std::vector<std::string>& list) {
    Value v = Value::array();
    for (const std::string& name : list) v.push_back(name);
    return v;
  };
  Value list = Value::array();
  for (const runtime::ImageRef& image : images) {
    list.push_back(Value::object({{"id", image->id},
                                  {"repoTags", names(image->tags)},
                                  {"repoDigests", names(image->digests)},
                                  {"size", image->size_bytes}}));
  }
  return list;
}

}  // namespace

LocalApi::LocalApi(base::Loop& loop, runtime::ImageStore& images, runtime::Runtime& runtime,
                   std::function<void()> changed)
    : loop_(loop),
      images_(images),
      runtime_(runtime),
      changed_(std::move(changed)),
      server_(loop) {}

LocalApi::~LocalApi() {
  *alive_ = false;
  if (listener_.valid()) unlink(socket_path_.c_str());
}

Result<void> LocalApi::listen(const std::string& socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return make_error(Code::kInvalid, "socket path is too long: " + socket_path);
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno_error(errno, "socket");
  unlink(socket_path.c_str());
  mode_t mask = umask(0177);
  int bound = bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  umask(mask);
  if (bound != 0) return errno_error(errno, "bind " + socket_path);
  if (::listen(fd.get(), 16) != 0) return errno_error(errno, "listen on " + socket_path);
  TRY(server_.serve({}, [this](net::ExchangePtr exchange) { handle(exchange); }));
  socket_path_ = socket_path;
  listener_ = std::move(fd);
  accept_ = std::make_unique<base::FdWatch>(loop_, listener_.get(), UV_READABLE, [this](int) {
    for (;;) {
      int peer = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (peer < 0) return;
      server_.adopt(base::UniqueFd(peer));
    }
  });
  return {};
}

void LocalApi::handle(const net::ExchangePtr& exchange) {
  const net::Request& request = exchange->request;
  auto body = json::parse(request.body.empty() ? "{}" : request.body);
  if (!body.ok()) return refuse(exchange, body.error());
  if (request.path == "/images" && request.method == "GET") return list(exchange);
  if (request.path == "/images" && request.method == "DELETE") {
    return remove(exchange, std::string(net::Query::parse(request.query).get("image")));
  }
  if (request.path == "/images/import" && request.method == "POST") {
    return import(exchange, (*body)["path"].text());
  }
  if (request.path == "/images/pull" && request.method == "POST") {
    return pull(exchange, (*body)["image"].text());
  }
  refuse(exchange, make_error(Code::kNotFound, "no such path: " + request.path));
}

void LocalApi::list(const net::ExchangePtr& exchange) { reply(exchange, describe(images_.list())); }

void LocalApi::import(const net::ExchangePtr& exchange, const std::string& path) {
  std::weak_ptr<bool> alive = alive_;
  images_.import(path, [this, alive, exchange](Result<std::vector<runtime::ImageRef>> images) {
    if (alive.expired()) return;
    if (!images.ok()) return refuse(exchange, images.error());
    changed_();
    reply(exchange, describe(*images));
  });
}

void LocalApi::pull(const net::ExchangePtr& exchange, const std::string& image) {
  std::weak_ptr<bool> alive = alive_;
  runtime_.pull_image(image, {}, [this, alive, exchange](Result<std::string> id) {
    if (alive.expired()) return;
    if (!id.ok()) return refuse(exchange, id.error());
    changed_();
    reply(exchange, Value::object({{"id", *id}}));
  });
}

void LocalApi::remove(const net::ExchangePtr& exchange, const std::string& image) {
  std::weak_ptr<bool> alive = alive_;
  images_.remove(image, [this, alive, exchange](Result<void> removed) {
    if (alive.expired()) return;
    if (!removed.ok()) return refuse(exchange, removed.error());
    changed_();
    reply(exchange, Value::object());
  });
}

}  // namespace knarr::agent
