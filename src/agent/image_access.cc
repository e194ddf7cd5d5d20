#include "agent/image_access.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "runtime/image/digest.h"

namespace knarr::agent {

using json::Value;

std::string PullCredential::hash() const {
  std::string text;
  for (const std::string& part : {auth.username, auth.password, auth.identity_token}) {
    text += std::to_string(part.size()) + ":" + part;
  }
  return runtime::digest_of(text);
}

ImageAccess::ImageAccess(std::string path, Offload& offload)
    : path_(std::move(path)), offload_(offload) {
  if (!path_.empty() && base::file_exists(path_)) read();
}

void ImageAccess::read() {
  auto text = base::read_file(path_);
  auto file = text.ok() ? json::parse(*text) : Result<Value>(text.error());
  if (!file.ok()) {
    base::log(base::Level::kWarning, "agent", "{}: {}", path_, file.error().message);
    return;
  }
  for (auto [id, names] : (*file)["images"].members()) {
    for (auto [name, value] : names.members()) {
      Entry& entry = images_[std::string(id)][std::string(name)];
      entry.anybody = value["anybody"].as_bool();
      for (auto [hash, secret] : value["secrets"].members()) {
        entry.secrets[std::string(hash)] = secret.text();
      }
    }
  }
}

void ImageAccess::write() {
  if (path_.empty()) return;
  Value images = Value::object();
  for (const auto& [id, names] : images_) {
    Value list = Value::object();
    for (const auto& [name, entry] : names) {
      Value secrets = Value::object();
      for (const auto& [hash, secret] : entry.secrets) secrets.set(hash, secret);
      list.set(name, Value::object({{"anybody", entry.anybody}, {"secrets", std::move(secrets)}}));
    }
    images.set(id, std::move(list));
  }
  std::string text = json::write(Value::object({{"images", std::move(images)}}));
  offload_.run(
      path_, [path = path_, text = std::move(text)] { return base::write_file(path, text, 0600); },
      [](const Result<void>& written) {
        if (written.ok()) return;
        base::log(base::Level::kWarning, "agent", "{}", written.error().message);
      });
}

bool ImageAccess::restricted(const std::string& image_id, const std::string& name) const {
  auto image = images_.find(image_id);
  if (image == images_.end()) return false;
  auto entry = image->second.find(name);
  return entry == image->second.end() || !entry->second.anybody;
}

bool ImageAccess::allowed(const std::string& image_id, const std::string& name,
                          const std::vector<PullCredential>& credentials) {
  if (!restricted(image_id, name)) return true;
  auto& names = images_[image_id];
  auto found = names.find(name);
  if (found == names.end()) return false;
  Entry& entry = found->second;
  for (const PullCredential& c : credentials) {
    std::string hash = c.hash();
    if (entry.secrets.count(hash) > 0) return true;
    for (const auto& [known, secret] : entry.secrets) {
      if (secret != c.secret) continue;
      entry.secrets[hash] = c.secret;  // the secret has another password now
      write();
      return true;
    }
  }
  return false;
}

void ImageAccess::pulled(const std::string& image_id, const std::string& name,
                         const PullCredential* credential) {
  Entry& entry = images_[image_id][name];
  if (credential == nullptr) {
    if (std::exchange(entry.anybody, true)) return;
  } else if (!entry.secrets.emplace(credential->hash(), credential->secret).second) {
    return;
  }
  write();
}

void ImageAccess::keep_only(const std::set<std::string>& image_ids) {
  size_t gone =
      std::erase_if(images_, [&](const auto& image) { return image_ids.count(image.first) == 0; });
  if (gone > 0) write();
}

}  // namespace knarr::agent
