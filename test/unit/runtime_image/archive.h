// Tar archives and images made up for tests.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "temp_dir.h"

namespace knarr::runtime {

using test::TempDir;

class TarWriter {
 public:
  struct Options {
    unsigned mode = 0644;
    int64_t uid = 0;
    int64_t gid = 0;
    int64_t mtime = 1700000000;
    std::string link;
    unsigned major = 0;
    unsigned minor = 0;
    std::map<std::string, std::string> pax;
  };
  TarWriter& file(const std::string& path, const std::string& text, Options options);
  TarWriter& file(const std::string& path, const std::string& text) { return file(path, text, {}); }
  TarWriter& directory(const std::string& path, unsigned mode = 0755);
  TarWriter& symlink(const std::string& path, const std::string& target);
  TarWriter& hard_link(const std::string& path, const std::string& target);
  TarWriter& entry(char type, const std::string& path, const std::string& data, Options options);
  std::string finish() const { return out_ + std::string(1024, 0); }

 private:
  void header(char type, const std::string& path, size_t size, const Options& options);
  std::string out_;
};

std::string gzip(std::string_view bytes);
std::string zstd(std::string_view bytes);

struct MadeImage {
  std::string config;
  std::string config_digest;
  std::string manifest;
  std::string manifest_digest;
  std::vector<std::string> layers;  // as blobs
  std::vector<std::string> layer_digests;
};

// From layer tars; `pack` turns each into its blob.
MadeImage make_image(const std::vector<std::string>& tars,
                     std::string (*pack)(std::string_view) = gzip,
                     const std::string& extra_config = "{}");

// docker save's and the OCI layout's archive of it.
std::string docker_archive(const MadeImage& image, const std::vector<std::string>& tags);
std::string oci_archive(const MadeImage& image, const std::string& name);

void write_test_file(const std::string& path, std::string_view bytes);
std::string read_test_file(const std::string& path);

}  // namespace knarr::runtime
