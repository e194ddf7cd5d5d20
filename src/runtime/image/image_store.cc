#include "runtime/image/image_store.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/log.h"
#include "runtime/image/files.h"
#include "runtime/image/import.h"
#include "runtime/image/reference.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kMaxIndexBytes = 64 << 20;

using Index = std::map<std::string, ImageRef, std::less<>>;

std::string write_index(const Index& index) {
  json::Value images = json::Value::array();
  for (const auto& [id, image] : index) images.push_back(image_to_json(*image));
  return json::write(json::Value::object({{"version", 1}, {"images", std::move(images)}}));
}

Result<Index> read_index(const std::string& path) {
  Result<std::string> text = read_file(path, kMaxIndexBytes);
  if (!text.ok() && text.error().code == Code::kNotFound) return Index();
  if (!text.ok()) return text.error();
  TRY_ASSIGN(json::Value value, json::parse(*text));
  if (!value["images"].is_array()) return make_error(Code::kInvalid, "no list of images");
  Index index;
  for (const json::Value& element : value["images"].elements()) {
    TRY_ASSIGN(Image image, image_from_json(element));
    std::string id = image.id;
    index[id] = std::make_shared<const Image>(std::move(image));
  }
  return index;
}

// Records that can't be read cost their images, not the node: what runs keeps its layers, and
// images can be pulled again. The file is put aside for whoever wants to know.
Result<Index> read_or_forget_index(const std::string& path) {
  Result<Index> index = read_index(path);
  if (index.ok()) return index;
  base::log(base::Level::kError, "images",
            "records are unreadable, starting without path={} error=\"{}\"", path,
            index.error().message);
  if (rename(path.c_str(), (path + ".damaged").c_str()) != 0) {
    return errno_error(errno, "rename " + path);
  }
  return Index();
}

void merge_names(std::vector<std::string>& into, const std::vector<std::string>& names) {
  into.insert(into.end(), names.begin(), names.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

// A tag is of one image: who else has it loses it.
void put_image(Index& index, Image image) {
  for (auto& [id, other] : index) {
    if (id == image.id) continue;
    auto taken = [&](const std::string& tag) {
      return std::find(image.tags.begin(), image.tags.end(), tag) != image.tags.end();
    };
    if (std::none_of(other->tags.begin(), other->tags.end(), taken)) continue;
    Image changed = *other;
    changed.tags.erase(std::remove_if(changed.tags.begin(), changed.tags.end(), taken),
                       changed.tags.end());
    other = std::make_shared<const Image>(std::move(changed));
  }
  if (auto it = index.find(image.id); it != index.end()) {
    merge_names(image.tags, it->second->tags);
    merge_names(image.digests, it->second->digests);
  }
  merge_names(image.tags, {});
  merge_names(image.digests, {});
  std::string id = image.id;
  index[id] = std::make_shared<const Image>(std::move(image));
}

ImageRef find_by_id(const Index& index, std::string_view text) {
  std::string id = text.starts_with("sha256:") ? std::string(text) : "sha256:" + std::string(text);
  auto it = index.lower_bound(id);
  if (it == index.end() || !it->first.starts_with(id)) return nullptr;
  auto next = std::next(it);
  bool unique = next == index.end() || !next->first.starts_with(id);
  return unique ? it->second : nullptr;
}

bool looks_like_id(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  return text.size() >= 12 && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

ImageStore::ImageStore(base::Loop& loop, std::string root, int max_threads)
    : root_(std::move(root)),
      content_(root_ + "/content"),
      layers_(root_ + "/layers", content_),
      pool_(loop, max_threads) {}

void ImageStore::open(Callback<void> done) {
  pool_.run<Index>(
      [this]() -> Result<Index> {
        TRY(make_directories(root_));
        TRY(content_.open());
        TRY(layers_.open());
        return read_or_forget_index(root_ + "/images.json");
      },
      [this, done = std::move(done)](Result<Index> index) {
        if (!index.ok()) return done(std::move(index).error());
        index_ = std::move(*index);
        done({});
      });
}

ImageRef ImageStore::find(std::string_view ref_or_id) const {
  if (looks_like_id(ref_or_id)) {
    if (ImageRef image = find_by_id(index_, ref_or_id)) return image;
  }
  Result<Reference> ref = parse_image(ref_or_id);
  if (!ref.ok()) return nullptr;
  // With a digest the tag is only a comment.
  bool by_digest = !ref->digest.empty();
  std::string name = ref->name() + (by_digest ? "@" + ref->digest : ":" + ref->tag);
  for (const auto& [id, image] : index_) {
    const std::vector<std::string>& names = by_digest ? image->digests : image->tags;
    if (std::find(names.begin(), names.end(), name) != names.end()) return image;
  }
  return nullptr;
}

std::vector<ImageRef> ImageStore::list() const {
  std::vector<ImageRef> out;
  for (const auto& [id, image] : index_) out.push_back(image);
  return out;
}

// Changes are made to a copy of the records, one after another; the copy counts once it is on disk.
void ImageStore::change(std::function<Result<void>(Index&)> apply, Callback<void> done) {
  changes_.push_back({std::move(apply), std::move(done)});
  next_change();
}

void ImageStore::next_change() {
  if (changing_ || changes_.empty()) return;
  changing_ = true;
  if (changes_.front().apply == nullptr) return run_collect();
  auto next = std::make_shared<Index>(index_);
  Result<void> applied = changes_.front().apply(*next);
  auto finish = [this, next](Result<void> written) {
    if (written.ok()) index_ = std::move(*next);
    Callback<void> done = std::move(changes_.front().done);
    changes_.pop_front();
    changing_ = false;
    done(std::move(written));
    next_change();
  };
  if (!applied.ok()) return finish(std::move(applied));
  pool_.run<void>(
      [this, next] { return write_file(root_ + "/images.json", write_index(*next), true); },
      finish);
}

void ImageStore::add(Image image, Callback<ImageRef> done) {
  std::string id = image.id;
  change(
      [image = std::move(image)](Index& index) -> Result<void> {
        put_image(index, image);
        return {};
      },
      [this, id, done = std::move(done)](Result<void> result) {
        if (!result.ok()) return done(std::move(result).error());
        done(find(id));
      });
}

void ImageStore::import(std::string archive_path, Callback<std::vector<ImageRef>> done) {
  auto imported = [this, done = std::move(done)](Result<ImportedImages> result) {
    if (!result.ok()) return done(std::move(result).error());
    auto images = std::make_shared<ImportedImages>(std::move(*result));
    change(
        [images](Index& index) -> Result<void> {
          for (const Image& image : images->images) put_image(index, image);
          return {};
        },
        [this, images, done](Result<void> written) {
          if (!written.ok()) return done(std::move(written).error());
          std::vector<ImageRef> out;
          for (const Image& image : images->images) out.push_back(find(image.id));
          done(std::move(out));
        });
  };
  pool_.run<ImportedImages>(
      [this, path = std::move(archive_path)] {
        return import_archive(path, content_, layers_, Platform::host());
      },
      std::move(imported));
}

void ImageStore::remove(std::string_view ref_or_id, Callback<void> done) {
  ImageRef image = find(ref_or_id);
  if (image == nullptr) {
    return done(make_error(Code::kNotFound, "image \"" + std::string(ref_or_id) + "\": not found"));
  }
  change(
      [id = image->id](Index& index) -> Result<void> {
        index.erase(id);
        return {};
      },
      [this, done = std::move(done)](Result<void> result) {
        if (!result.ok()) return done(std::move(result));
        collect(done);
      });
}

void ImageStore::collect(Callback<void> done) { change(nullptr, std::move(done)); }

// A collection is a change like others, so that no image is registered while it runs: what is on
// its way in is leased until its record is written.
void ImageStore::run_collect() {
  std::set<std::string> blobs;
  std::set<std::string> layers;
  for (const auto& [id, image] : index_) {
    blobs.insert({image->id, image->manifest_digest});
    for (const ImageLayer& layer : image->layers) {
      blobs.insert(layer.digest);
      layers.insert(LayerStore::name(layer.chain_id));
    }
  }
  for (const auto& [holder, chain_ids] : holds_) {
    for (const std::string& id : chain_ids) layers.insert(LayerStore::name(id));
  }
  pool_.run<void>(
      [this, blobs = std::move(blobs), layers = std::move(layers)]() -> Result<void> {
        TRY(content_.collect([&](const std::string& digest) { return blobs.count(digest) != 0; }));
        return layers_.collect(layers);
      },
      [this](Result<void> result) {
        Callback<void> done = std::move(changes_.front().done);
        changes_.pop_front();
        changing_ = false;
        done(std::move(result));
        next_change();
      });
}

void ImageStore::usage(Callback<FilesystemUsage> done) {
  pool_.run<FilesystemUsage>(
      [this]() -> Result<FilesystemUsage> {
        FilesystemUsage usage;
        usage.path = root_;
        content_.usage(usage.used_bytes, usage.inodes_used);
        layers_.usage(usage.used_bytes, usage.inodes_used);
        return usage;
      },
      std::move(done));
}

void ImageStore::hold(const std::string& holder, std::vector<std::string> chain_ids) {
  holds_[holder] = std::move(chain_ids);
}

void ImageStore::release(const std::string& holder) { holds_.erase(holder); }

}  // namespace knarr::runtime
