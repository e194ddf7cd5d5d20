#include "runtime/image/import.h"

#include <fcntl.h>

#include <cerrno>
#include <map>

#include "base/format.h"
#include "base/json.h"
#include "runtime/image/byte_source.h"
#include "runtime/image/reference.h"
#include "runtime/image/tar_reader.h"
#include "runtime/image/unpack.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kSmallBytes = 4 << 20;
constexpr int64_t kMaxMemoryBytes = 64 << 20;
constexpr int64_t kMaxDocumentBytes = 16 << 20;
constexpr int kMaxIndexDepth = 4;

Error invalid(std::string message) { return make_error(Code::kInvalid, std::move(message)); }

std::string clean(std::string_view path) {
  std::string out;
  for (const std::string& part : path_parts(path)) out += (out.empty() ? "" : "/") + part;
  return out;
}

class Importer {
 public:
  Importer(ContentStore& content, LayerStore& layers, const Platform& platform)
      : content_(content),
        layers_(layers),
        platform_(platform),
        leases_(std::make_shared<LeaseSet>(content.leases())) {}

  Result<ImportedImages> run(const std::string& path);

 private:
  struct Member {        // of the archive
    std::string text;    // when small
    std::string digest;  // when it went to the store
    std::string link;    // when it is a link to another member
  };

  Result<void> read_archive(ByteSource& tar);
  Result<void> take_file(TarReader& reader, const TarEntry& entry);
  const Member* member(std::string path) const;
  Result<std::string> document(const std::string& path) const;
  Result<ImageLayer> layer_from(const std::string& path, const std::string& want_digest);
  Result<void> add_docker_images(const std::string& manifest_json);
  Result<void> add_docker_image(const json::Value& entry);
  Result<void> add_oci_images(const Manifest& index, int depth, const std::string& name);
  Result<void> add_oci_image(const std::string& manifest_json, const std::string& name);
  Result<void> add_image(const std::string& config, const std::string& manifest_json,
                         std::vector<ImageLayer> layers, std::vector<std::string> tags);

  ContentStore& content_;
  LayerStore& layers_;
  const Platform& platform_;
  std::shared_ptr<LeaseSet> leases_;
  std::map<std::string, Member> members_;
  int64_t memory_bytes_ = 0;
  std::vector<Image> images_;
};

Result<ImportedImages> Importer::run(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  TRY_ASSIGN(std::unique_ptr<ByteSource> tar, decompressed(file_source(std::move(fd), path)));
  TRY(read_archive(*tar));
  // Newer docker save writes both forms: its own names every image in full.
  if (member("manifest.json") != nullptr) {
    TRY_ASSIGN(std::string text, document("manifest.json"));
    TRY(add_docker_images(text));
  } else if (member("index.json") != nullptr) {
    TRY_ASSIGN(std::string text, document("index.json"));
    TRY_ASSIGN(Manifest index, parse_manifest(text));
    TRY(add_oci_images(index, 0, ""));
  } else {
    return invalid(
        "unrecognized image format: neither manifest.json nor index.json in the archive");
  }
  if (images_.empty()) return invalid("the archive holds no image for this platform");
  return ImportedImages{std::move(images_), leases_};
}

Result<void> Importer::read_archive(ByteSource& tar) {
  TarReader reader(tar);
  for (;;) {
    TarEntry entry;
    TRY_ASSIGN(bool any, reader.next(entry));
    if (!any) return {};
    if (entry.type == TarType::kFile && !entry.sparse) {
      TRY(take_file(reader, entry));
    } else if (entry.type == TarType::kHardLink) {
      members_[clean(entry.path)].link = clean(entry.link);
    } else if (entry.type == TarType::kSymlink) {
      bool absolute = entry.link.starts_with('/');
      members_[clean(entry.path)].link =
          clean(absolute ? entry.link : entry.path + "/../" + entry.link);
    }
  }
}

Result<void> Importer::take_file(TarReader& reader, const TarEntry& entry) {
  Member& to = members_[clean(entry.path)];
  to = Member();
  std::vector<char> buffer(1 << 16);
  if (entry.size <= kSmallBytes && memory_bytes_ + entry.size <= kMaxMemoryBytes) {
    memory_bytes_ += entry.size;
    for (;;) {
      TRY_ASSIGN(size_t got, reader.read(buffer.data(), buffer.size()));
      if (got == 0) return {};
      to.text.append(buffer.data(), got);
    }
  }
  TRY_ASSIGN(Ingest ingest, content_.ingest_unnamed());
  for (;;) {
    TRY_ASSIGN(size_t got, reader.read(buffer.data(), buffer.size()));
    if (got == 0) break;
    TRY(ingest.append(std::string_view(buffer.data(), got)));
  }
  leases_->take(ingest.digest());
  TRY_ASSIGN(to.digest, ingest.commit());
  return {};
}

const Importer::Member* Importer::member(std::string path) const {
  for (int hops = 0; hops < 8; ++hops) {
    auto it = members_.find(path);
    if (it == members_.end()) return nullptr;
    if (it->second.link.empty()) return &it->second;
    path = it->second.link;
  }
  return nullptr;
}

Result<std::string> Importer::document(const std::string& path) const {
  const Member* found = member(clean(path));
  if (found == nullptr) return invalid("the archive lacks " + path);
  if (found->digest.empty()) return found->text;
  return content_.read(found->digest, kMaxDocumentBytes);
}

Result<ImageLayer> Importer::layer_from(const std::string& path, const std::string& want_digest) {
  const Member* found = member(clean(path));
  if (found == nullptr) return invalid("the archive lacks layer " + path);
  ImageLayer layer;
  layer.digest = found->digest.empty() ? digest_of(found->text) : found->digest;
  if (!want_digest.empty() && layer.digest != want_digest) {
    return invalid(fmt::format("layer {} has digest {}", want_digest, layer.digest));
  }
  if (found->digest.empty()) {
    leases_->take(layer.digest);
    TRY(content_.put(layer.digest, found->text));
  }
  layer.size_bytes = content_.size(layer.digest);
  return layer;
}

Result<void> Importer::add_docker_images(const std::string& manifest_json) {
  TRY_ASSIGN(json::Value list, json::parse(manifest_json));
  if (!list.is_array()) return invalid("manifest.json is not a list of images");
  for (const json::Value& entry : list.elements()) TRY(add_docker_image(entry));
  return {};
}

// Such an archive has no manifest: the one its image would have is written here.
Result<void> Importer::add_docker_image(const json::Value& entry) {
  TRY_ASSIGN(std::string config, document(entry["Config"].text()));
  std::vector<ImageLayer> layers;
  json::Value descriptors = json::Value::array();
  for (const json::Value& path : entry["Layers"].elements()) {
    TRY_ASSIGN(ImageLayer layer, layer_from(path.text(), ""));
    descriptors.push_back(
        json::Value::object({{"mediaType", "application/vnd.docker.image.rootfs.diff.tar"},
                             {"digest", layer.digest},
                             {"size", layer.size_bytes}}));
    layers.push_back(std::move(layer));
  }
  json::Value manifest = json::Value::object(
      {{"schemaVersion", 2},
       {"mediaType", "application/vnd.docker.distribution.manifest.v2+json"},
       {"config",
        json::Value::object({{"mediaType", "application/vnd.docker.container.image.v1+json"},
                             {"digest", digest_of(config)},
                             {"size", static_cast<int64_t>(config.size())}})},
       {"layers", std::move(descriptors)}});
  std::vector<std::string> tags;
  for (const json::Value& tag : entry["RepoTags"].elements()) tags.push_back(tag.text());
  return add_image(config, json::write(manifest), std::move(layers), std::move(tags));
}

Result<void> Importer::add_oci_images(const Manifest& index, int depth, const std::string& name) {
  if (depth > kMaxIndexDepth) return invalid("image index is nested too deeply");
  std::vector<const Descriptor*> chosen;
  if (depth == 0) {
    for (const Descriptor& d : index.manifests) chosen.push_back(&d);
  } else if (const Descriptor* d = choose_platform(index.manifests, platform_)) {
    chosen.push_back(d);
  }
  for (const Descriptor* d : chosen) {
    auto annotation = [&](const char* key) {
      auto it = d->annotations.find(key);
      return it == d->annotations.end() ? std::string() : it->second;
    };
    std::string own = annotation("io.containerd.image.name");
    // A bare tag ("latest") says nothing of the repository: no name can be made of it.
    if (own.empty()) own = annotation("org.opencontainers.image.ref.name");
    if (own.find_first_of(":/") == std::string::npos) own.clear();
    std::string path = "blobs/sha256/" + std::string(digest_hex(d->digest));
    TRY_ASSIGN(std::string text, document(path));
    if (digest_of(text) != d->digest) return invalid("manifest " + d->digest + " is damaged");
    TRY_ASSIGN(Manifest manifest, parse_manifest(text));
    const std::string& known = own.empty() ? name : own;
    if (manifest.is_index) {
      TRY(add_oci_images(manifest, depth + 1, known));
    } else {
      TRY(add_oci_image(text, known));
    }
  }
  return {};
}

Result<void> Importer::add_oci_image(const std::string& manifest_json, const std::string& name) {
  TRY_ASSIGN(Manifest manifest, parse_manifest(manifest_json));
  auto blob = [](const std::string& digest) {
    return "blobs/sha256/" + std::string(digest_hex(digest));
  };
  TRY_ASSIGN(std::string config, document(blob(manifest.config.digest)));
  if (digest_of(config) != manifest.config.digest) return invalid("the image config is damaged");
  std::vector<ImageLayer> layers;
  for (const Descriptor& d : manifest.layers) {
    TRY_ASSIGN(ImageLayer layer, layer_from(blob(d.digest), d.digest));
    layers.push_back(std::move(layer));
  }
  std::vector<std::string> tags;
  if (!name.empty()) tags.push_back(name);
  return add_image(config, manifest_json, std::move(layers), std::move(tags));
}

Result<void> Importer::add_image(const std::string& config, const std::string& manifest_json,
                                 std::vector<ImageLayer> layers, std::vector<std::string> tags) {
  TRY_ASSIGN(Image image, image_from_config(config, std::move(layers)));
  image.manifest_digest = digest_of(manifest_json);
  for (const std::string& tag : tags) {
    TRY_ASSIGN(Reference ref, parse_image(tag));
    image.digests.push_back(ref.name() + "@" + image.manifest_digest);
    if (!ref.tag.empty()) image.tags.push_back(ref.name() + ":" + ref.tag);
  }
  leases_->take(image.id);
  leases_->take(image.manifest_digest);
  TRY(content_.put(image.id, config));
  TRY(content_.put(image.manifest_digest, manifest_json));
  for (size_t i = 0; i < image.layers.size(); ++i) {
    leases_->take(LayerStore::name(image.layers[i].chain_id));
    TRY(layers_.unpack(image.layers, i));
  }
  images_.push_back(std::move(image));
  return {};
}

}  // namespace

Result<ImportedImages> import_archive(const std::string& archive_path, ContentStore& content,
                                      LayerStore& layers, const Platform& platform) {
  return Importer(content, layers, platform).run(archive_path);
}

}  // namespace knarr::runtime
