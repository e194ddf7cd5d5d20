// Any bytes as a patch of each kind, applied to a pod; a second document may stand after a NUL.
#include <cstdint>
#include <string_view>

#include "api/codec/decode.h"
#include "api/patch/json_patch.h"
#include "api/patch/merge_patch.h"
#include "api/patch/strategic_merge.h"
#include "knarr/check.h"

using namespace knarr;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t nul = text.find('\0');
  std::string_view document_text =
      nul == std::string_view::npos
          ? std::string_view(
                R"({"metadata":{"name":"p","finalizers":["a","b"]},"spec":{"containers":
              [{"name":"a","env":[{"name":"x"}]},{"name":"b"}],"volumes":[{"name":"v"}]}})")
          : text.substr(nul + 1);
  std::string_view patch_text = text.substr(0, nul);
  auto document = json::parse(document_text);
  if (!document.ok()) return 0;
  (void)api::apply_json_patch(*document, patch_text);
  auto patch = json::parse(patch_text);
  if (!patch.ok()) return 0;
  (void)api::apply_merge_patch(*document, *patch);
  const api::Type& pod = *api::find_type("", "v1", "Pod");
  auto merged = api::apply_strategic_merge(pod, *document, *patch);
  if (merged.ok()) (void)api::decode_value(pod, *merged, api::ErrorWords::kConverter);
  return 0;
}
