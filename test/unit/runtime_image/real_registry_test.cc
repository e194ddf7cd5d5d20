// Pulls from Debian's docker-registry, over TLS and without, where it is installed.
#include <arpa/inet.h>
#include <httplib.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <optional>

#include "archive.h"
#include "base/format.h"
#include "runtime/image/puller.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

constexpr const char* kRegistry = "/usr/bin/docker-registry";
constexpr const char* kOpenssl = "/usr/bin/openssl";

pid_t spawn(std::vector<std::string> argv, const std::string& output) {
  std::vector<char*> raw;
  for (std::string& a : argv) raw.push_back(a.data());
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_CREAT | O_WRONLY, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  REQUIRE(posix_spawn(&pid, raw[0], &actions, nullptr, raw.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int free_port() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

class RealRegistry {
 public:
  RealRegistry(const TempDir& dir, bool tls) : port_(free_port()) {
    std::string config = fmt::format(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n"
        "http:\n  addr: 127.0.0.1:{}\n",
        dir / "registry", port_);
    if (tls) {
      pid_t made = spawn(
          {kOpenssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
           "-nodes", "-days", "2", "-subj", "/CN=registry", "-addext",
           "subjectAltName=IP:127.0.0.1", "-keyout", dir / "key.pem", "-out", dir / "cert.pem"},
          dir / "openssl.log");
      int status = 0;
      REQUIRE(waitpid(made, &status, 0) == made);
      REQUIRE(status == 0);
      config +=
          fmt::format("  tls: {{certificate: {}, key: {}}}\n", dir / "cert.pem", dir / "key.pem");
      client_ = std::make_unique<httplib::SSLClient>("127.0.0.1", port_);
      client_->enable_server_certificate_verification(false);
    } else {
      client_ = std::make_unique<httplib::ClientImpl>("127.0.0.1", port_);
    }
    write_test_file(dir / "registry.yml", config);
    pid_ = spawn({kRegistry, "serve", dir / "registry.yml"}, dir / "registry.log");
    bool up = false;
    for (int i = 0; i < 1000 && !up; ++i) {
      auto answer = client_->Get("/v2/");
      up = answer && answer->status == 200;
      if (!up) usleep(10000);
    }
    REQUIRE(up);
  }
  ~RealRegistry() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  std::string host() const { return fmt::format("127.0.0.1:{}", port_); }

  void push(const std::string& repository, const std::string& tag, const MadeImage& image) {
    for (size_t i = 0; i < image.layers.size(); ++i) {
      push_blob(repository, image.layer_digests[i], image.layers[i]);
    }
    push_blob(repository, image.config_digest, image.config);
    auto put = client_->Put("/v2/" + repository + "/manifests/" + tag, image.manifest,
                            "application/vnd.oci.image.manifest.v1+json");
    REQUIRE(put);
    REQUIRE(put->status == 201);
  }

 private:
  void push_blob(const std::string& repository, const std::string& digest,
                 const std::string& bytes) {
    auto begun = client_->Post("/v2/" + repository + "/blobs/uploads/");
    REQUIRE(begun);
    std::string to = begun->get_header_value("Location");
    to = to.substr(to.find("/v2/"));
    auto put = client_->Put(to + "&digest=" + digest, bytes, "application/octet-stream");
    REQUIRE(put);
    REQUIRE(put->status == 201);
  }

  int port_;
  pid_t pid_ = -1;
  std::unique_ptr<httplib::ClientImpl> client_;
};

Result<ImageRef> pull(const std::string& root, const std::string& ref, const Registries& config) {
  base::Loop loop;
  ImageStore images(loop, root);
  PullerOptions options;
  options.architecture = "amd64";
  options.registries = config;
  Puller puller(loop, images, options);
  std::optional<Result<ImageRef>> answer;
  images.open([&](Result<void> opened) {
    REQUIRE(opened.ok());
    puller.pull(ref, {}, [&](Result<ImageRef> r) { answer = std::move(r); });
  });
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, 30000));
  return std::move(*answer);
}

MadeImage some_image() {
  return make_image({TarWriter().file("a", std::string(200000, 'a')).finish(),
                     TarWriter().file("b", "b").file(".wh.a", "").finish()});
}

}  // namespace

TEST_CASE("a real registry on loopback", "[root]") {
  if (access(kRegistry, X_OK) != 0) return;
  TempDir dir;
  RealRegistry registry(dir, false);
  MadeImage made = some_image();
  registry.push("team/app", "1", made);
  Result<ImageRef> image = pull(dir / "images", registry.host() + "/team/app:1", {});
  if (!image.ok()) FAIL(image.error().message);
  CHECK((*image)->id == made.config_digest);
  std::string ref = registry.host() + "/team/app:2";
  CHECK(pull(dir / "images", ref, {}).error().message ==
        fmt::format("rpc error: code = NotFound desc = failed to pull and unpack image \"{0}\": "
                    "failed to resolve reference \"{0}\": {0}: not found",
                    ref));
}

TEST_CASE("a real registry behind TLS", "[root]") {
  if (access(kRegistry, X_OK) != 0 || access(kOpenssl, X_OK) != 0) return;
  TempDir dir;
  RealRegistry registry(dir, true);
  registry.push("app", "1", some_image());
  std::string ref = registry.host() + "/app:1";
  auto config = [&](const std::string& tls) {
    return parse_registries(fmt::format("mirrors:\n  \"{0}\": {{endpoint: [\"https://{0}\"]}}\n"
                                        "configs:\n  \"{0}\": {{tls: {{{1}}}}}\n",
                                        registry.host(), tls))
        .value();
  };
  auto text = [&](const Registries& registries) {
    Result<ImageRef> image = pull(dir / "images", ref, registries);
    return image.ok() ? std::string("pulled") : image.error().message;
  };
  CHECK(text(config(""))
            .find("tls: failed to verify certificate: x509: certificate signed by "
                  "unknown authority") != std::string::npos);
  CHECK(text(config("ca_file: /nonexistent")).find("load CA file") != std::string::npos);
  CHECK(text(config("ca_file: " + (dir / "cert.pem"))) == "pulled");
  CHECK(text(config("insecure_skip_verify: true")) == "pulled");
}
