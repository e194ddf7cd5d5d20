#include "agent/remote/memory.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>

#include "agent/remote/remote_client.h"
#include "agent/remote/wire.h"
#include "base/file.h"
#include "base/format.h"
#include "base/random.h"
#include "net/seal.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kPatienceMs = 20000;
const client::WatchTarget kSecrets{"", "v1", "secrets", "d", "", "metadata.name=s"};

ObjectRef secret(const char* name, int revision) {
  std::string json =
      fmt::format(R"({{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"{}","namespace":"d",)"
                  R"("resourceVersion":"{}"}},"data":{{"password":"aHVudGVyMg=="}}}})",
                  name, revision);
  return *read_answer({"", "v1", "secrets", "d", name, ""}, 200, json);
}

std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

}  // namespace

TEST_CASE("a sealed text opens with its key at its place, and nowhere else") {
  net::Seal seal("a private key", "test");
  std::string sealed = seal.close("hunter2", "/here");
  CHECK(sealed.find("hunter2") == std::string::npos);
  CHECK(*seal.open(sealed, "/here") == "hunter2");
  CHECK(*seal.open(seal.close("", "/here"), "/here") == "");
  CHECK_FALSE(seal.open(sealed, "/there").ok());
  CHECK_FALSE(net::Seal("another key", "test").open(sealed, "/here").ok());
  CHECK_FALSE(net::Seal("a private key", "other").open(sealed, "/here").ok());
  CHECK_FALSE(seal.open("short", "/here").ok());
  for (size_t i = 0; i < sealed.size(); i++) {
    std::string broken = sealed;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    CHECK_FALSE(seal.open(broken, "/here").ok());
  }
}

TEST_CASE("what was kept is there after a restart, sealed") {
  test::TempDir dir;
  base::Loop loop;
  {
    Memory memory(loop, dir.path(), "key");
    memory.keep(kSecrets, secret("s", 3));
    memory.keep(kSecrets, secret("t", 4));
    memory.keep(kSecrets, secret("s", 5));
    memory.forget(kSecrets, {"d", "t"});
    CHECK_FALSE(memory.all(kSecrets));  // nobody has said that this is all
    memory.whole(kSecrets, {{"d", "s"}});
  }
  Memory memory(loop, dir.path(), "key");
  auto all = memory.all(kSecrets);
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  CHECK(all->at(0)->name == NamespacedName{"d", "s"});
  CHECK(all->at(0)->revision == 5);
  client::WatchTarget other = kSecrets;
  other.ns = "e";
  CHECK_FALSE(memory.all(other));
  for (const std::string& file : files_below(dir.path())) {
    CHECK(base::read_file(file)->find("aHVudGVyMg") == std::string::npos);
  }
  CHECK_FALSE(Memory(loop, dir.path(), "another key").all(kSecrets));
}

TEST_CASE("what a whole list no longer has is not remembered") {
  test::TempDir dir;
  base::Loop loop;
  Memory memory(loop, dir.path(), "key");
  memory.keep(kSecrets, secret("gone", 3));
  memory.keep(kSecrets, secret("s", 3));
  memory.whole(kSecrets, {{"d", "s"}});
  REQUIRE(memory.all(kSecrets));
  CHECK(memory.all(kSecrets)->size() == 1);
  // One that was not kept: there is no telling what there was.
  memory.whole(client::WatchTarget{"", "v1", "pods", "d", "", ""}, {{"d", "p"}});
  CHECK_FALSE(memory.all({"", "v1", "pods", "d", "", ""}));
}

TEST_CASE("answers are kept of reads and of tokens") {
  test::TempDir dir;
  base::Loop loop;
  Memory memory(loop, dir.path(), "key");
  client::Request get;
  get.target = {"", "v1", "secrets", "d", "s", ""};
  CHECK(Memory::keeps(get));
  client::Request token;
  token.verb = client::Verb::kCreate;
  token.target = {"", "v1", "serviceaccounts", "d", "default", "token"};
  CHECK(Memory::keeps(token));
  client::Request patch = get;
  patch.verb = client::Verb::kPatch;
  CHECK_FALSE(Memory::keeps(patch));
  client::Request lease = get;
  lease.target = {"coordination.k8s.io", "v1", "leases", "kube-node-lease", "n1", ""};
  CHECK_FALSE(Memory::keeps(lease));

  CHECK(memory.answer(get) == nullptr);
  memory.keep_answer(get, secret("s", 7));
  CHECK(memory.answer(get)->revision == 7);
  memory.forget_answer(get);
  CHECK(memory.answer(get) == nullptr);
}

TEST_CASE("what nobody asks for any more is forgotten in time") {
  test::TempDir dir;
  base::Loop loop;
  Memory memory(loop, dir.path(), "key");
  memory.keep(kSecrets, secret("s", 3));
  client::Request get;
  get.target = {"", "v1", "secrets", "d", "s", ""};
  memory.keep_answer(get, secret("s", 3));
  int64_t now = time(nullptr);
  auto files = [&] {
    memory.answer(get);  // after all that was to be written
    return files_below(dir.path()).size();
  };
  memory.forget_old(now + 29 * 86400);
  CHECK(files() == 2);
  client::Request token;
  token.verb = client::Verb::kCreate;
  token.target = {"", "v1", "serviceaccounts", "d", "default", "token"};
  memory.keep_answer(token, secret("s", 3));
  memory.forget_old(now + 3 * 86400);
  CHECK(memory.answer(token) == nullptr);
  memory.forget_old(now + 31 * 86400);
  CHECK(files() == 1);
  CHECK(memory.answer(get) != nullptr);
  memory.forget_old(now + 366 * 86400);
  CHECK(memory.answer(get) == nullptr);
}

TEST_CASE("without a server a watch and a read begin with what is remembered") {
  struct Log : client::WatchHandler {
    void on_upsert(const ObjectRef& object) override { text += "+" + object->name.name + " "; }
    void on_delete(const ObjectRef& last) override { text += "-" + last->name.name + " "; }
    void on_synced() override { text += "synced "; }
    std::string text;
  };
  test::TempDir dir;
  base::Loop loop;
  base::SeededRandom random(5);
  Memory memory(loop, dir.path(), "key");
  memory.keep(kSecrets, secret("s", 3));
  memory.whole(kSecrets, {{"d", "s"}});
  RemoteOptions options;
  options.servers = {"http://127.0.0.1:1"};  // nobody listens there
  options.memory = &memory;
  RemoteClient client(loop, random, std::move(options));
  Log log;
  auto watch = client.watch(kSecrets, log);
  REQUIRE(loop.run_until([&] { return log.text == "+s synced "; }, kPatienceMs));

  client::Request get;
  get.target = {"", "v1", "secrets", "d", "s", ""};
  auto ask = [&] {
    std::optional<Result<ObjectRef>> answer;
    client.call(get, [&](Result<ObjectRef> r) { answer = std::move(r); });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatienceMs));
    return *answer;
  };
  auto unknown = ask();
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().code == Code::kServiceUnavailable);
  memory.keep_answer(get, secret("s", 3));
  CHECK(ask().ok());
}
