#include "archive.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "base/format.h"
#include "base/json.h"
#include "knarr/check.h"
#include "runtime/image/digest.h"
#include "runtime/image/files.h"

namespace knarr::runtime {

void TarWriter::header(char type, const std::string& path, size_t size, const Options& o) {
  char block[512] = {};
  memcpy(block, path.data(), std::min<size_t>(path.size(), 100));
  snprintf(block + 100, 8, "%07o", o.mode);
  snprintf(block + 108, 8, "%07lo", static_cast<unsigned long>(o.uid));
  snprintf(block + 116, 8, "%07lo", static_cast<unsigned long>(o.gid));
  snprintf(block + 124, 12, "%011zo", size);
  snprintf(block + 136, 12, "%011lo", static_cast<unsigned long>(o.mtime));
  block[156] = type;
  memcpy(block + 157, o.link.data(), std::min<size_t>(o.link.size(), 100));
  memcpy(block + 257, "ustar\00000", 8);
  snprintf(block + 329, 8, "%07o", o.major);
  snprintf(block + 337, 8, "%07o", o.minor);
  memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  snprintf(block + 148, 8, "%06o", sum);
  out_.append(block, sizeof block);
}

TarWriter& TarWriter::entry(char type, const std::string& path, const std::string& data,
                            Options o) {
  if (path.size() > 100) o.pax["path"] = path;
  if (o.link.size() > 100) o.pax["linkpath"] = o.link;
  std::string records;
  for (const auto& [key, value] : o.pax) {
    std::string rest = " " + key + "=" + value + "\n";
    size_t length = rest.size() + 1;
    while (std::to_string(length).size() + rest.size() != length) ++length;
    records += std::to_string(length) + rest;
  }
  if (!records.empty()) {
    header('x', "pax", records.size(), {});
    out_ += records;
    out_.append((512 - records.size() % 512) % 512, 0);
  }
  header(type, path, data.size(), o);
  out_ += data;
  out_.append((512 - data.size() % 512) % 512, 0);
  return *this;
}

TarWriter& TarWriter::file(const std::string& path, const std::string& text, Options o) {
  return entry('0', path, text, std::move(o));
}
TarWriter& TarWriter::directory(const std::string& path, unsigned mode) {
  Options o;
  o.mode = mode;
  return entry('5', path, "", o);
}
TarWriter& TarWriter::symlink(const std::string& path, const std::string& target) {
  Options o;
  o.link = target;
  return entry('2', path, "", o);
}
TarWriter& TarWriter::hard_link(const std::string& path, const std::string& target) {
  Options o;
  o.link = target;
  return entry('1', path, "", o);
}

std::string gzip(std::string_view bytes) {
  z_stream z{};
  CHECK(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&z, bytes.size()) + 64, 0);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), 0);
  size_t n = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  CHECK(ZSTD_isError(n) == 0);
  out.resize(n);
  return out;
}

MadeImage make_image(const std::vector<std::string>& tars, std::string (*pack)(std::string_view),
                     const std::string& extra_config) {
  MadeImage image;
  json::Value diff_ids = json::Value::array();
  json::Value layers = json::Value::array();
  for (const std::string& tar : tars) {
    diff_ids.push_back(digest_of(tar));
    image.layers.push_back(pack(tar));
    image.layer_digests.push_back(digest_of(image.layers.back()));
    layers.push_back(
        json::Value::object({{"mediaType", "application/vnd.oci.image.layer.v1.tar+gzip"},
                             {"digest", image.layer_digests.back()},
                             {"size", static_cast<int64_t>(image.layers.back().size())}}));
  }
  json::Value config = json::Value::object(
      {{"architecture", "amd64"},
       {"os", "linux"},
       {"config", json::parse(extra_config).value()},
       {"rootfs", json::Value::object({{"type", "layers"}, {"diff_ids", diff_ids}})}});
  image.config = json::write(config);
  image.config_digest = digest_of(image.config);
  image.manifest = json::write(json::Value::object(
      {{"schemaVersion", 2},
       {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
       {"config", json::Value::object({{"mediaType", "application/vnd.oci.image.config.v1+json"},
                                       {"digest", image.config_digest},
                                       {"size", static_cast<int64_t>(image.config.size())}})},
       {"layers", layers}}));
  image.manifest_digest = digest_of(image.manifest);
  return image;
}

std::string docker_archive(const MadeImage& image, const std::vector<std::string>& tags) {
  TarWriter tar;
  std::string config_name = image.config_digest.substr(7) + ".json";
  json::Value layers = json::Value::array();
  for (size_t i = 0; i < image.layers.size(); ++i) {
    std::string name = fmt::format("layer{}/layer.tar", i);
    tar.file(name, image.layers[i]);
    layers.push_back(name);
  }
  json::Value repo_tags = json::Value::array();
  for (const std::string& tag : tags) repo_tags.push_back(tag);
  tar.file(config_name, image.config);
  json::Value entry =
      json::Value::object({{"Config", config_name}, {"RepoTags", repo_tags}, {"Layers", layers}});
  tar.file("manifest.json", json::write(json::Value::array({entry})));
  return tar.finish();
}

std::string oci_archive(const MadeImage& image, const std::string& name) {
  TarWriter tar;
  tar.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  tar.directory("blobs/sha256/");
  auto blob = [&](const std::string& digest, const std::string& bytes) {
    tar.file("blobs/sha256/" + digest.substr(7), bytes);
  };
  for (size_t i = 0; i < image.layers.size(); ++i) blob(image.layer_digests[i], image.layers[i]);
  blob(image.config_digest, image.config);
  blob(image.manifest_digest, image.manifest);
  json::Value entry = json::Value::object(
      {{"mediaType", "application/vnd.oci.image.manifest.v1+json"},
       {"digest", image.manifest_digest},
       {"size", static_cast<int64_t>(image.manifest.size())},
       {"annotations", json::Value::object({{"org.opencontainers.image.ref.name", name}})}});
  tar.file("index.json", json::write(json::Value::object(
                             {{"schemaVersion", 2}, {"manifests", json::Value::array({entry})}})));
  return tar.finish();
}

void write_test_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read_test_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace knarr::runtime
