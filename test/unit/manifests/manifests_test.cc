#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "server/manifests/manifest_applier.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::server;

namespace {

constexpr int64_t kPatience_ms = 20000;

// Does what it is told to with what it is asked, in the order of the asking.
struct FakeClient final : client::Client {
  void call(client::Request request, client::Reply reply) override {
    const client::Target& t = request.target;
    std::string what = t.resource + " " + NamespacedName{t.ns, t.name}.text();
    bool remove = request.verb == client::Verb::kDelete;
    log.push_back((remove ? "delete " : "apply ") + what);
    if (refused.contains(what)) return reply(make_error(Code::kForbidden, "no"));
    if (remove && objects.erase(what) == 0) return reply(make_error(Code::kNotFound, "gone"));
    if (!remove) objects[what] = request.body;
    reply(ObjectRef(std::make_shared<Object>()));
  }
  std::unique_ptr<client::Watch> watch(client::WatchTarget, client::WatchHandler&) override {
    return nullptr;
  }
  std::vector<std::string> log;
  std::map<std::string, std::string> objects;
  std::set<std::string> refused;
};

std::string config_map(const std::string& name, const std::string& value = "x") {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {k: " + value +
         "}\n";
}

struct Fixture {
  Fixture() { REQUIRE(base::make_dirs(folder).ok()); }
  void write(const std::string& name, const std::string& text) {
    REQUIRE(base::write_file(folder + "/" + name, text, 0644, base::Durability::kPlain).ok());
  }
  void remove(const std::string& name) { unlink((folder + "/" + name).c_str()); }
  void start() {
    applier = std::make_unique<ManifestApplier>(loop, client, folder);
    REQUIRE(applier->start().ok());
  }
  std::string names() const {
    std::string out;
    for (const auto& [name, object] : client.objects) out += name + "; ";
    return out;
  }
  void until(const std::string& expected) {
    bool came = loop.run_until([&] { return names() == expected; }, kPatience_ms);
    INFO(names());
    REQUIRE(came);
  }

  test::TempDir temp;
  std::string folder = temp / "manifests";
  base::Loop loop;
  FakeClient client;
  std::unique_ptr<ManifestApplier> applier;
};

}  // namespace

TEST_CASE("what the text of a file asks for") {
  auto read = read_manifests(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\n---\n"
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n---\n"
      R"({"apiVersion":"v1","kind":"List","items":[)"
      R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns"}}]})");
  if (!read.ok()) FAIL(read.error().message);
  REQUIRE(read->size() == 3);
  CHECK((*read)[0].ref.text() == "deployments.apps default/web");
  CHECK((*read)[0].object["metadata"]["namespace"] == json::Value("default"));
  CHECK((*read)[1].ref.text() == "namespaces ns");
  CHECK((*read)[2].ref.text() == "secrets ns/s");

  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"a: 1", "document 1: an object without apiVersion or kind"},
      {"apiVersion: v1\nkind: Pod\n", "document 1: a Pod without a name"},
      {"apiVersion: v1\nkind: Nothing\nmetadata: {name: a}\n",
       "document 1: no matches for kind \"Nothing\" in version \"v1\""},
      {"apiVersion: a/b/c\nkind: Pod\nmetadata: {name: a}\n",
       "document 1: no matches for kind \"Pod\" in version \"a/b/c\""},
  };
  for (const Row& row : rows) {
    auto bad = read_manifests(row.text);
    REQUIRE_FALSE(bad.ok());
    CHECK(bad.error().message == row.error);
  }
  CHECK_FALSE(read_manifests("a: [").ok());
}

TEST_CASE("files are applied at start, and when they change") {
  Fixture f;
  f.write("a.yaml", config_map("one") + "---\n" + config_map("two"));
  f.write(".hidden.yaml", config_map("hidden"));
  f.write("notes.txt", config_map("text"));
  f.start();
  f.until("configmaps default/one; configmaps default/two; ");
  f.write("b.json", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"three"}})");
  f.until("configmaps default/one; configmaps default/three; configmaps default/two; ");
  // Only what has changed is applied again.
  CHECK(f.client.log.size() == 3);
  REQUIRE(base::make_dirs(f.folder + "/sub").ok());
  f.write("sub/c.yml", config_map("four"));
  f.until(
      "configmaps default/four; configmaps default/one; configmaps default/three; "
      "configmaps default/two; ");
  f.write("sub/c.yml", config_map("four", "changed"));
  REQUIRE(f.loop.run_until([&] { return f.client.log.size() == 5; }, kPatience_ms));
  CHECK(f.client.objects["configmaps default/four"].find("changed") != std::string::npos);
}

TEST_CASE("what no file has any more is deleted, also after a restart") {
  Fixture f;
  f.write("a.yaml", config_map("one") + "---\n" + config_map("two"));
  f.write("b.yaml", config_map("three"));
  f.start();
  f.until("configmaps default/one; configmaps default/three; configmaps default/two; ");
  f.write("a.yaml", config_map("two"));
  f.until("configmaps default/three; configmaps default/two; ");
  // What was deleted is recorded when the whole pass is done.
  for (int turns = 0; turns < 3; turns++) {
    bool turned = false;
    f.loop.defer([&] { turned = true; });
    REQUIRE(f.loop.run_until([&] { return turned; }, kPatience_ms));
  }
  f.applier.reset();
  // From one file to the other: it stays.
  f.write("a.yaml", config_map("three"));
  f.remove("b.yaml");
  f.client.log.clear();
  f.start();
  f.until("configmaps default/three; ");
  CHECK(f.client.log == std::vector<std::string>{"apply configmaps default/three",
                                                 "delete configmaps default/two"});
}

TEST_CASE("a file that is skipped or cannot be read leaves its objects alone") {
  Fixture f;
  f.write("a.yaml", config_map("one"));
  f.write("b.yaml", config_map("two"));
  f.start();
  f.until("configmaps default/one; configmaps default/two; ");
  f.write("a.yaml.skip", "");
  f.write("a.yaml", config_map("other"));
  f.write("b.yaml", "kind: [");
  f.write("c.yaml", config_map("last"));
  f.until("configmaps default/last; configmaps default/one; configmaps default/two; ");
  f.remove("a.yaml.skip");
  f.until(
      "configmaps default/last; configmaps default/one; configmaps default/other; "
      "configmaps default/two; ");
  f.write("b.yaml", config_map("two"));
  f.until("configmaps default/last; configmaps default/other; configmaps default/two; ");
}

TEST_CASE("what moves into a file that is skipped or cannot be read stays") {
  Fixture f;
  f.write("a.yaml", config_map("one") + "---\n" + config_map("two"));
  f.start();
  f.until("configmaps default/one; configmaps default/two; ");
  f.write("b.yaml.skip", "");
  f.write("b.yaml", config_map("two"));
  f.write("a.yaml", config_map("one") + "---\n" + config_map("three"));
  f.until("configmaps default/one; configmaps default/three; configmaps default/two; ");
  // No word is known of what this one has: nothing goes before it can be read.
  f.write("c.yaml", "kind: [");
  f.write("a.yaml", config_map("four"));
  f.until(
      "configmaps default/four; configmaps default/one; configmaps default/three; "
      "configmaps default/two; ");
  f.write("c.yaml", config_map("three"));
  f.until("configmaps default/four; configmaps default/three; configmaps default/two; ");
}

TEST_CASE("a folder that cannot be read deletes nothing") {
  Fixture f;
  f.write("a.yaml", config_map("one"));
  f.start();
  f.until("configmaps default/one; ");
  f.applier.reset();
  std::filesystem::remove_all(f.folder);
  CHECK_FALSE(read_manifest_folder(f.folder).ok());
  // A file that nobody can read: a link to itself.
  REQUIRE(base::make_dirs(f.folder).ok());
  REQUIRE(symlink("b.yaml", (f.folder + "/b.yaml").c_str()) == 0);
  CHECK_FALSE(read_manifest_folder(f.folder).ok());
  f.client.log.clear();
  f.start();
  f.write("c.yaml", config_map("two"));
  f.remove("b.yaml");
  f.until("configmaps default/two; ");
  CHECK(f.client.log ==
        std::vector<std::string>{"apply configmaps default/two", "delete configmaps default/one"});
}

TEST_CASE("with a record that cannot be read nothing is applied") {
  Fixture f;
  REQUIRE(base::write_file(f.folder + ".json", "{", 0600, base::Durability::kPlain).ok());
  f.write("a.yaml", config_map("one"));
  ManifestApplier applier(f.loop, f.client, f.folder);
  CHECK_FALSE(applier.start().ok());
  CHECK(f.client.log.empty());
}

TEST_CASE("what cannot be done is tried again") {
  Fixture f;
  f.client.refused = {"configmaps default/one"};
  f.write("a.yaml", config_map("one") + "---\n" + config_map("two"));
  f.start();
  f.until("configmaps default/two; ");
  f.client.refused.clear();
  f.until("configmaps default/one; configmaps default/two; ");
  f.client.refused = {"configmaps default/one"};
  f.remove("a.yaml");
  f.until("configmaps default/one; ");
  f.client.refused.clear();
  f.until("");
}
