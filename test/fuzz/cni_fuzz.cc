// A configuration that parses is kept and read again; results and errors of plug-ins end in an
// answer, whatever they hold.
#include "agent/cni/attachment_files.h"
#include "agent/cni/request.h"
#include "knarr/check.h"

using namespace knarr;
using namespace knarr::agent;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(cni_failure(text, text, "exit status 1").size());
  for (CniForm form : {CniForm::kList, CniForm::kSingle}) {
    auto config = parse_cni_config(text, form);
    if (!config.ok()) continue;
    CHECK(parse_cni_config(json::write(cni_config_list(*config)), CniForm::kList).ok());
    CniAttachment attachment;
    attachment.capabilities = config->plugins[0].conf;
    for (size_t i = 0; i < config->plugins.size(); i++) {
      CHECK(
          json::parse(cni_input(*config, i, CniCommand::kAdd, attachment, config->plugins[0].conf))
              .ok());
    }
  }
  CniConfig plain{"n", "1.0.0", {{"t", json::Value::object()}}};
  auto result = parse_cni_result(text, plain);
  if (!result.ok()) return 0;
  static_cast<void>(cni_addresses(*result, "eth0").ok());
  static_cast<void>(read_record(*result).ok());
  return 0;
}
