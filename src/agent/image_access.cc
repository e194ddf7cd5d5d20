#include "agent/image_access.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "runtime/image/digest.h"
#include "runtime/image/reference.h"

namespace knarr::agent {

using json::Value;

namespace {

std::string name_of(const std::string& image) {
  auto reference = runtime::parse_reference(image);
  return reference.ok() ? reference->name() : image;
}

}  // namespace

std::string PullCredential::hash() const {
  std::string text;
  for (const std::string& part : {auth.username, auth.password, auth.identity_token}) {
    text += std::to_string(part.size()) + ":" + part;
  }
  return runtime::digest_of(text);
}

ImageAccess::ImageAccess(std::string path, Offload& offload)
    : path_(std::move(path)), offload_(offload) {
  if (path_.empty() || !base::file_exists(path_) || read()) return;
  lost_ = true;
  base::log(base::Level::kError, "agent",
            "{} cannot be read: images that are here are pulled anew before a pod may use them",
            path_);
}

bool ImageAccess::read() {
  auto text = base::read_file(path_);
  auto file = text.ok() ? json::parse(*text) : Result<Value>(text.error());
  if (!file.ok() || !(*file)["images"].is_object()) return false;
  lost_ = (*file)["lost"].as_bool();
  for (const Value& image : (*file)["pulling"].elements()) unsure_.insert(image.text());
  for (auto [id, names] : (*file)["images"].members()) {
    auto& entries = images_[std::string(id)];
    for (auto [name, value] : names.members()) {
      Entry& entry = entries[std::string(name)];
      entry.anybody = value["anybody"].as_bool();
      for (auto [hash, secret] : value["secrets"].members()) {
        entry.secrets[std::string(hash)] = secret.text();
      }
    }
  }
  return true;
}

void ImageAccess::write(Callback<void> done) {
  if (path_.empty()) {
    if (done) done({});
    return;
  }
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
  std::set<std::string> references = unsure_;
  references.insert(intents_.begin(), intents_.end());
  Value pulling = Value::array();
  for (const std::string& image : references) pulling.push_back(image);
  std::string text = json::write(Value::object(
      {{"images", std::move(images)}, {"pulling", std::move(pulling)}, {"lost", lost_}}));
  offload_.run(
      path_, [path = path_, text = std::move(text)] { return base::write_file(path, text, 0600); },
      [done = std::move(done)](const Result<void>& written) {
        if (!written.ok()) {
          base::log(base::Level::kWarning, "agent", "{}", written.error().message);
        }
        if (done) done(written);
      });
}

bool ImageAccess::restricted(const std::string& image_id, const std::string& image) const {
  auto names = images_.find(image_id);
  if (names == images_.end()) {
    return lost_ || intents_.count(image) > 0 || unsure_.count(image) > 0;
  }
  auto entry = names->second.find(name_of(image));
  return entry == names->second.end() || !entry->second.anybody;
}

bool ImageAccess::allowed(const std::string& image_id, const std::string& image,
                          const std::vector<PullCredential>& credentials) {
  if (!restricted(image_id, image)) return true;
  auto names = images_.find(image_id);
  if (names == images_.end()) return false;
  auto found = names->second.find(name_of(image));
  if (found == names->second.end()) return false;
  Entry& entry = found->second;
  for (const PullCredential& c : credentials) {
    std::string hash = c.hash();
    if (entry.secrets.count(hash) > 0) return true;
    if (entry.forget(c.secret) == 0) continue;
    entry.secrets[hash] = c.secret;  // the secret has another password now
    write();
    return true;
  }
  return false;
}

void ImageAccess::intend(const std::string& image, Callback<void> written) {
  intents_.insert(image);
  write(std::move(written));
}

void ImageAccess::refused(const std::string& image) {
  auto intent = intents_.find(image);
  if (intent == intents_.end()) return;
  intents_.erase(intent);
  write();
}

// The record and the end of the intent are one write.
void ImageAccess::pulled(const std::string& image_id, const std::string& image,
                         const PullCredential* credential) {
  Entry& entry = images_[image_id][name_of(image)];
  bool was_unsure = unsure_.erase(image) > 0;
  if (credential == nullptr) {
    if (std::exchange(entry.anybody, true) && !was_unsure) return;
    return write();
  }
  std::string hash = credential->hash();
  if (entry.secrets.count(hash) == 0) {
    entry.forget(credential->secret);
    entry.secrets[hash] = credential->secret;
  }
  auto intent = intents_.find(image);
  if (intent != intents_.end()) intents_.erase(intent);
  write();
}

size_t ImageAccess::Entry::forget(const std::string& secret) {
  return std::erase_if(secrets, [&](const auto& known) { return known.second == secret; });
}

void ImageAccess::keep_only(const std::set<std::string>& image_ids) {
  if (std::exchange(lost_, false)) {
    for (const std::string& id : image_ids) images_[id];  // of nobody
    write();
  }
  size_t gone =
      std::erase_if(images_, [&](const auto& image) { return image_ids.count(image.first) == 0; });
  if (gone > 0) write();
}

}  // namespace knarr::agent
