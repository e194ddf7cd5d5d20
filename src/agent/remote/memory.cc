#include "agent/remote/memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "agent/remote/wire.h"
#include "base/file.h"
#include "base/log.h"
#include "net/pki.h"

namespace knarr::agent {

namespace {

constexpr const char* kAnswers = "/answers/";
constexpr int64_t kDaySeconds = 86400;
constexpr int64_t kForgetWatchSeconds = 30 * kDaySeconds;
constexpr int64_t kForgetAnswerSeconds = 365 * kDaySeconds;
constexpr int64_t kForgetTokenSeconds = 2 * kDaySeconds;  // of a pod that runs it is new each hour
constexpr const char* kTokens = "/tokens/";
constexpr const char* kWhole = "whole";

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error), end;
  for (; !error && at != end; at.increment(error)) names.push_back(at->path().filename());
  return names;
}

std::string file_of(const NamespacedName& name) {
  return net::fingerprint(name.ns + "/" + name.name);
}

}  // namespace

Memory::Memory(std::string folder, std::string_view node_key)
    : folder_(std::move(folder)), seal_(node_key, "knarr memory"), swept_(time(nullptr)) {}

bool Memory::write(const std::string& path, std::string_view text) {
  // Most watches begin with what the last one ended with.
  if (auto before = read(path); before && *before == text) {
    return utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0;
  }
  std::string place = path.substr(folder_.size());
  auto made = base::make_dirs(path.substr(0, path.rfind('/')), 0700);
  auto written =
      made.ok() ? base::write_file(path, seal_.close(text, place), 0600, base::Durability::kPlain)
                : made;
  if (!written.ok()) base::log(base::Level::kError, "client", "{}", written.error().message);
  return written.ok();
}

std::optional<std::string> Memory::read(const std::string& path) const {
  if (!base::file_exists(path)) return std::nullopt;
  auto sealed = base::read_file(path);
  if (!sealed.ok()) return std::nullopt;
  auto text = seal_.open(*sealed, path.substr(folder_.size()));
  if (!text.ok()) return std::nullopt;
  return *std::move(text);
}

namespace {

// A watch by what it asks for.
std::string folder_of(const client::WatchTarget& watch) {
  return "/" + net::fingerprint(watch_path(watch, 0)) + "/";
}

std::string answer_file(const client::Request& request) {
  bool token = request.target.subresource == "token";
  return (token ? kTokens : kAnswers) + net::fingerprint(path_of(request) + "\n" + request.body);
}

}  // namespace

void Memory::keep(const client::WatchTarget& watch, const ObjectRef& object) {
  std::string folder = folder_ + folder_of(watch);
  if (!write(folder + file_of(object->name), object->json)) unlink((folder + kWhole).c_str());
}

void Memory::forget(const client::WatchTarget& watch, const NamespacedName& name) {
  unlink((folder_ + folder_of(watch) + file_of(name)).c_str());
}

void Memory::whole(const client::WatchTarget& watch, const std::vector<NamespacedName>& names) {
  std::string folder = folder_ + folder_of(watch);
  std::set<std::string> wanted;
  for (const NamespacedName& name : names) wanted.insert(file_of(name));
  for (const std::string& file : files_in(folder)) {
    if (!wanted.contains(file)) unlink((folder + file).c_str());
    wanted.erase(file);
  }
  // Each of them was kept: else there is no telling what there was.
  if (wanted.empty()) write(folder + kWhole, "");
}

std::optional<std::vector<ObjectRef>> Memory::all(const client::WatchTarget& watch) const {
  std::string folder = folder_ + folder_of(watch);
  if (!read(folder + kWhole)) return std::nullopt;
  std::vector<ObjectRef> objects;
  client::Target target{watch.group, watch.version, watch.resource, watch.ns, "", ""};
  for (const std::string& file : files_in(folder)) {
    if (file == kWhole) continue;
    auto text = read(folder + file);
    auto object = text ? read_answer(target, 200, *text)
                       : Result<ObjectRef>(make_error(Code::kInvalid, "does not open"));
    if (!object.ok()) return std::nullopt;
    objects.push_back(*object);
  }
  return objects;
}

bool Memory::keeps(const client::Request& request) {
  bool token = request.verb == client::Verb::kCreate && request.target.subresource == "token";
  bool lease = request.target.resource == "leases";
  return token || (request.verb == client::Verb::kGet && !lease);
}

void Memory::keep_answer(const client::Request& request, const ObjectRef& answer) {
  write(folder_ + answer_file(request), answer->json);
  int64_t now = time(nullptr);
  if (now - swept_ > kDaySeconds) forget_old(now);
}

void Memory::forget_answer(const client::Request& request) {
  unlink((folder_ + answer_file(request)).c_str());
}

ObjectRef Memory::answer(const client::Request& request) const {
  auto text = read(folder_ + answer_file(request));
  if (!text) return nullptr;
  auto object = read_answer(request.target, 200, *text);
  return object.ok() ? *object : nullptr;
}

void Memory::begins(const client::WatchTarget& watch) {
  utimensat(AT_FDCWD, (folder_ + folder_of(watch)).c_str(), nullptr, 0);
}

void Memory::forget_old(int64_t now) {
  swept_ = now;
  auto older = [now](const std::string& path, int64_t seconds) {
    struct stat info = {};
    return stat(path.c_str(), &info) == 0 && now - info.st_mtime > seconds;
  };
  std::error_code ignored;
  for (const std::string& watch : files_in(folder_)) {
    std::string path = folder_ + "/" + watch;
    bool answers = "/" + watch + "/" == kAnswers || "/" + watch + "/" == kTokens;
    if (!answers && older(path, kForgetWatchSeconds)) std::filesystem::remove_all(path, ignored);
  }
  for (const char* kind : {kAnswers, kTokens}) {
    int64_t most = kind == kTokens ? kForgetTokenSeconds : kForgetAnswerSeconds;
    for (const std::string& answer : files_in(folder_ + kind)) {
      std::string path = folder_ + kind + answer;
      if (older(path, most)) unlink(path.c_str());
    }
  }
}

}  // namespace knarr::agent
