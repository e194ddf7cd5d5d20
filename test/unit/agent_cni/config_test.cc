#include "agent/cni/config.h"

#include <catch2/catch.hpp>

#include "agent/cni/config_folder.h"
#include "base/file.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

std::string problem(std::string_view text, CniForm form = CniForm::kList) {
  auto config = parse_cni_config(text, form);
  return config.ok() ? "" : config.error().message;
}

}  // namespace

TEST_CASE("cni config: what is refused, in libcni's words") {
  const std::string head = R"({"cniVersion":"1.0.0","name":"n",)";
  struct {
    std::string text;
    const char* problem;
  } rows[] = {
      {"[]", "error parsing configuration: not an object"},
      {R"({"cniVersion":"1.0.0","plugins":[{"type":"t"}]})",
       "error parsing configuration: no name"},
      {R"({"cniVersion":"1.0.0","name":"../n","plugins":[{"type":"t"}]})",
       "invalid characters found in network name: ../n"},
      {R"({"cniVersion":"2.0.0","name":"n","plugins":[{"type":"t"}]})",
       "unsupported CNI version \"2.0.0\""},
      {R"({"name":"n","plugins":[{"type":"t"}]})", "unsupported CNI version \"\""},
      {head + R"("type":"t"})", "error parsing configuration list: no 'plugins' key"},
      {head + R"("plugins":{}})", "error parsing configuration list: invalid 'plugins' type"},
      {head + R"("plugins":[]})", "error parsing configuration list: no plugins in list"},
      {head + R"("plugins":[{}]})", "error parsing configuration: missing 'type'"},
      {head + R"("plugins":[{"type":"../sh"}]})", "invalid plugin name: ../sh"},
      {head + R"("plugins":[{"type":".."}]})", "invalid plugin name: .."},
      {head + R"("plugins":["t"]})", "error parsing configuration: not an object"},
  };
  for (const auto& row : rows) CHECK(problem(row.text) == row.problem);
  CHECK(problem("{").starts_with("error parsing configuration: "));
  CHECK(problem(head + R"("plugins":[]})", CniForm::kSingle) ==
        "error parsing configuration: missing 'type'");
}

TEST_CASE("cni config: versions that are understood") {
  struct {
    const char* versions;
    const char* chosen;
  } rows[] = {
      {R"("cniVersion":"0.3.1")", "0.3.1"},
      {R"("cniVersion":"1.1.0")", "1.1.0"},
      {R"("cniVersion":"0.4.0","cniVersions":["0.3.1","1.0.0","9.9.9"])", "1.0.0"},
      {R"("cniVersion":"9.9.9","cniVersions":["0.4.0"])", "0.4.0"},
  };
  for (const auto& row : rows) {
    auto config = parse_cni_config(
        std::string("{") + row.versions + R"(,"name":"n","type":"bridge","mtu":1400})",
        CniForm::kSingle);
    REQUIRE(config.ok());
    CHECK(config->version == row.chosen);
    CHECK(config->plugins.at(0).type == "bridge");
    // What is kept on disk is read again the same.
    auto again = parse_cni_config(json::write(cni_config_list(*config)), CniForm::kList);
    REQUIRE(again.ok());
    CHECK(again->version == row.chosen);
    CHECK(again->plugins[0].conf["mtu"].as_int() == 1400);
  }
}

TEST_CASE("cni config: the first valid file of the folder counts") {
  test::TempDir dir;
  auto put = [&](const std::string& name, const std::string& text) {
    REQUIRE(base::write_file(dir / name, text).ok());
  };
  CHECK(!read_cni_folder(dir / "absent"));
  CHECK(!read_cni_folder(dir.path()));
  put("00-notes.txt", "no configuration");
  put("05-broken.conflist", "{");
  put("20-b.conflist", R"({"cniVersion":"1.0.0","name":"b","plugins":[{"type":"t"}]})");
  CHECK(read_cni_folder(dir.path())->name == "b");
  put("10-a.conf", R"({"cniVersion":"1.0.0","name":"a","type":"t"})");
  CHECK(read_cni_folder(dir.path())->name == "a");
}
