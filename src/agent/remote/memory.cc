#include "agent/remote/memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

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

std::string file_of(const NamespacedName& name) {
  return net::fingerprint(name.ns + "/" + name.name);
}

}  // namespace

Memory::Memory(std::string folder, std::string_view node_key)
    : folder_(std::move(folder)), seal_(node_key, "knarr memory") {}

void Memory::write(const std::string& path, std::string_view text) {
  // Most watches begin with what the last one ended with.
  if (auto before = read(path); before && *before == text) return;
  std::string place = path.substr(folder_.size());
  auto made = base::make_dirs(path.substr(0, path.rfind('/')), 0700);
  auto written =
      made.ok() ? base::write_file(path, seal_.close(text, place), 0600, base::Durability::kPlain)
                : made;
  if (!written.ok()) base::log(base::Level::kError, "client", "{}", written.error().message);
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
  return kAnswers + net::fingerprint(path_of(request) + "\n" + request.body);
}

}  // namespace

void Memory::keep(const client::WatchTarget& watch, const ObjectRef& object) {
  write(folder_ + folder_of(watch) + file_of(object->name), object->json);
}

void Memory::forget(const client::WatchTarget& watch, const NamespacedName& name) {
  unlink((folder_ + folder_of(watch) + file_of(name)).c_str());
}

std::vector<ObjectRef> Memory::all(const client::WatchTarget& watch) const {
  std::vector<ObjectRef> objects;
  client::Target target{watch.group, watch.version, watch.resource, watch.ns, "", ""};
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(folder_ + folder_of(watch), ignored)) {
    auto text = read(entry.path());
    if (!text) continue;
    auto object = read_answer(target, 200, *text);
    if (object.ok()) objects.push_back(*object);
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
  std::error_code ignored;
  auto age = [now](const std::filesystem::path& path) {
    struct stat info = {};
    return stat(path.c_str(), &info) == 0 ? now - info.st_mtime : 0;
  };
  std::vector<std::filesystem::path> old;
  for (const auto& watch : std::filesystem::directory_iterator(folder_, ignored)) {
    bool answers = watch.path().filename() == "answers";
    if (!answers && age(watch.path()) > kForgetWatchSeconds) old.push_back(watch.path());
  }
  for (const auto& answer : std::filesystem::directory_iterator(folder_ + kAnswers, ignored)) {
    if (age(answer.path()) > kForgetAnswerSeconds) old.push_back(answer.path());
  }
  for (const auto& path : old) std::filesystem::remove_all(path, ignored);
}

}  // namespace knarr::agent
