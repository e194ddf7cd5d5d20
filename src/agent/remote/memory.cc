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
#include "net/seal.h"

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

// What lies on the disk. One thread at a time.
class Memory::Files {
 public:
  Files(std::string folder, std::string_view node_key)
      : folder_(std::move(folder)), seal_(node_key, "knarr memory") {}

  // Paths are below the folder.
  bool write(const std::string& path, std::string_view text);
  std::optional<std::string> read(const std::string& path) const;
  void remove(const std::string& path) { unlink((folder_ + path).c_str()); }
  void touch(const std::string& path) { utimensat(AT_FDCWD, (folder_ + path).c_str(), nullptr, 0); }
  std::vector<std::string> names_in(const std::string& path) const {
    return files_in(folder_ + path);
  }
  void keep_only(const std::string& path, std::set<std::string> wanted);
  void forget_old(int64_t now);

 private:
  std::string folder_;
  net::Seal seal_;
};

bool Memory::Files::write(const std::string& path, std::string_view text) {
  // Most watches begin with what the last one ended with.
  std::string file = folder_ + path;
  if (auto before = read(path); before && *before == text) {
    return utimensat(AT_FDCWD, file.c_str(), nullptr, 0) == 0;
  }
  auto made = base::make_dirs(file.substr(0, file.rfind('/')), 0700);
  auto written =
      made.ok() ? base::write_file(file, seal_.close(text, path), 0600, base::Durability::kPlain)
                : made;
  if (!written.ok()) base::log(base::Level::kError, "client", "{}", written.error().message);
  return written.ok();
}

std::optional<std::string> Memory::Files::read(const std::string& path) const {
  std::string file = folder_ + path;
  if (!base::file_exists(file)) return std::nullopt;
  auto sealed = base::read_file(file);
  if (!sealed.ok()) return std::nullopt;
  auto text = seal_.open(*sealed, path);
  if (!text.ok()) return std::nullopt;
  return *std::move(text);
}

void Memory::Files::keep_only(const std::string& path, std::set<std::string> wanted) {
  for (const std::string& file : names_in(path)) {
    if (!wanted.contains(file)) remove(path + file);
    wanted.erase(file);
  }
  // Each of them was kept: else there is no telling what there was.
  if (wanted.empty()) write(path + kWhole, "");
}

void Memory::Files::forget_old(int64_t now) {
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

Memory::Memory(base::Loop& loop, std::string folder, std::string_view node_key)
    : files_(std::make_shared<Files>(std::move(folder), node_key)),
      worker_(loop),
      swept_(time(nullptr)) {}

Memory::~Memory() = default;

void Memory::later(std::function<void(Files&)> work) {
  worker_.push([files = files_, work = std::move(work)] { work(*files); });
}

const Memory::Files& Memory::now() const {
  worker_.finish();
  return *files_;
}

void Memory::keep(const client::WatchTarget& watch, const ObjectRef& object) {
  later([folder = folder_of(watch), object](Files& files) {
    std::string file = folder + file_of(object->name);
    if (files.write(file, object->json)) return;
    files.remove(folder + kWhole);
    files.remove(file);  // its older version would pass for it
  });
}

void Memory::forget(const client::WatchTarget& watch, const NamespacedName& name) {
  later([path = folder_of(watch) + file_of(name)](Files& files) { files.remove(path); });
}

void Memory::whole(const client::WatchTarget& watch, const std::vector<NamespacedName>& names) {
  std::set<std::string> wanted;
  for (const NamespacedName& name : names) wanted.insert(file_of(name));
  later([folder = folder_of(watch), wanted = std::move(wanted)](Files& files) {
    files.keep_only(folder, wanted);
  });
}

std::optional<std::vector<ObjectRef>> Memory::all(const client::WatchTarget& watch) const {
  const Files& files = now();
  std::string folder = folder_of(watch);
  if (!files.read(folder + kWhole)) return std::nullopt;
  std::vector<ObjectRef> objects;
  client::Target target{watch.group, watch.version, watch.resource, watch.ns, "", ""};
  for (const std::string& file : files.names_in(folder)) {
    if (file == kWhole) continue;
    auto text = files.read(folder + file);
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
  later([path = answer_file(request), answer](Files& files) { files.write(path, answer->json); });
  int64_t now = time(nullptr);
  if (now - swept_ > kDaySeconds) forget_old(now);
}

void Memory::forget_answer(const client::Request& request) {
  later([path = answer_file(request)](Files& files) { files.remove(path); });
}

ObjectRef Memory::answer(const client::Request& request) const {
  auto text = now().read(answer_file(request));
  if (!text) return nullptr;
  auto object = read_answer(request.target, 200, *text);
  return object.ok() ? *object : nullptr;
}

void Memory::begins(const client::WatchTarget& watch) {
  later([path = folder_of(watch)](Files& files) { files.touch(path); });
}

void Memory::forget_old(int64_t now) {
  swept_ = now;
  later([now](Files& files) { files.forget_old(now); });
}

}  // namespace knarr::agent
