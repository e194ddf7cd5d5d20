// knarr image list | import FILE... | pull IMAGE... | remove IMAGE...: asks the running knarr over
// its local socket (see agent/local_api.h).
#include <cstdio>
#include <cstdlib>

#include "base/format.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/local_client.h"
#include "net/url.h"

namespace knarr::cli {

namespace {

constexpr char kHelp[] =
    "usage: knarr image list | import FILE... | pull IMAGE... | remove IMAGE...\n\n"
    "Images of this node. FILE is what `docker save` wrote, or an OCI layout in a tar, plain or\n"
    "compressed with gzip or zstd. Asks the knarr that runs here; set KNARR_RUN_DIR or --run-dir\n"
    "when it was started with another one.\n";

void print(const json::Value& images) {
  std::printf("%-56s %-16s %s\n", "IMAGE", "ID", "SIZE");
  for (const json::Value& image : images.elements()) {
    std::string id = image["id"].text();
    std::string short_id = id.substr(id.find(':') + 1).substr(0, 12);
    std::string size = fmt::format("{:.1f} MB", image["size"].as_double() / 1e6);
    const json::Value& names = image[image["repoTags"].empty() ? "repoDigests" : "repoTags"];
    for (const json::Value& name : names.elements()) {
      std::printf("%-56s %-16s %s\n", name.text().c_str(), short_id.c_str(), size.c_str());
    }
  }
}

int run(LocalClient& client, const std::string& verb, const Args& what) {
  if (verb == "list" || verb == "ls") {
    auto images = client.call("GET", "/images", {});
    if (!images.ok()) return fail(images.error().message);
    print(*images);
    return 0;
  }
  for (const std::string& name : what) {
    Result<json::Value> answer = json::Value();
    if (verb == "import") {
      char* absolute = realpath(name.c_str(), nullptr);
      if (absolute == nullptr) return fail("no such file: " + name);
      answer = client.call("POST", "/images/import", json::Value::object({{"path", absolute}}));
      free(absolute);
    } else if (verb == "pull") {
      answer = client.call("POST", "/images/pull", json::Value::object({{"image", name}}));
    } else {
      answer = client.call("DELETE", "/images?image=" + net::percent_encode_query(name), {});
    }
    if (!answer.ok()) return fail(name + ": " + answer.error().message);
    for (const json::Value& image : answer->elements()) {
      for (const json::Value& tag : image["repoTags"].elements()) {
        std::printf("%s\n", tag.text().c_str());
      }
    }
    if (verb == "pull") std::printf("%s\n", (*answer)["id"].text().c_str());
  }
  return 0;
}

}  // namespace

int image_command(const Args& args) {
  std::string run_dir = "/run/knarr";
  FlagSet flags("knarr image", "");
  flags.text("run-dir", run_dir, "DIR", "");
  Args words;
  auto parsed = flags.read_environment([](const char* name) { return getenv(name); });
  if (parsed.ok()) parsed = flags.parse(args, words);
  bool list = !words.empty() && (words[0] == "list" || words[0] == "ls");
  bool known = list || (words.size() > 1 && (words[0] == "import" || words[0] == "pull" ||
                                             words[0] == "remove" || words[0] == "rm"));
  if (!parsed.ok() || flags.help_wanted() || !known) {
    if (!parsed.ok()) fail(parsed.error().message);
    std::fputs(kHelp, flags.help_wanted() ? stdout : stderr);
    return flags.help_wanted() ? 0 : 2;
  }
  LocalClient client(run_dir);
  return run(client, words[0], Args(words.begin() + 1, words.end()));
}

}  // namespace knarr::cli
