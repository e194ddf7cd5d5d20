// Field paths as managedFields has them, from anyone who may write an object: what is read prints
// as what reads the same, and the arithmetic of sets holds. The input is two FieldsV1 with a zero
// byte between them.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/apply/field_set.h"
#include "api/validation/errors.h"
#include "base/json.h"
#include "knarr/check.h"

using namespace knarr;  // NOLINT
using api::FieldSet;

namespace {

bool read(std::string_view text, FieldSet& out) {
  auto value = json::parse(text);
  if (!value.ok()) return false;
  out = FieldSet::from_json(*value);
  out.member = false;  // a root is none
  out.prune();
  FieldSet again = FieldSet::from_json(out.to_json());
  CHECK(again == out);
  for (const std::string& path : out.paths()) CHECK(!path.empty());
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t cut = text.find('\0');
  FieldSet a, b;
  if (!read(text.substr(0, cut), a) || cut == std::string_view::npos) return 0;
  if (!read(text.substr(cut + 1), b)) return 0;
  FieldSet common = a.common(b);
  CHECK(common == b.common(a));
  FieldSet rest = a;
  rest.remove(b);
  rest.prune();
  CHECK(rest.common(b).empty());
  FieldSet whole = rest;
  whole.add(common);
  whole.prune();
  CHECK(whole == a);
  FieldSet both = a;
  both.add(b);
  FieldSet other = b;
  other.add(a);
  CHECK(both == other);
  return 0;
}
