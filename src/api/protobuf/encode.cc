#include "api/protobuf/layout.h"
#include "api/protobuf/protobuf.h"
#include "api/protobuf/transcoder.h"
#include "knarr/check.h"

namespace knarr::api {
namespace {

constexpr std::string_view kMagic("k8s\0", 4);
constexpr std::string_view kEnd("\x1a\0\"\0", 4);  // contentEncoding, contentType

// The document up to the message, whose length follows.
void put_head(WireBuffer& out, std::string_view api_version, std::string_view kind) {
  out.append(kMagic);
  out.tag(1, kBytesWire);
  size_t begun = out.begin(1);
  out.bytes(1, api_version);
  out.bytes(2, kind);
  out.end(begun, 1);
  out.tag(2, kBytesWire);
}

const Field& field_of(const Type& type, std::string_view name) {
  const Field* field = type.field(name);
  CHECK(field != nullptr);
  return *field;
}

}  // namespace

std::optional<TypeMeta> type_meta_of(std::string_view json) {
  JsonText in(json);
  TypeMeta out;
  bool some = in.expect('{') && !in.take('}');
  while (some && (out.kind.empty() || out.api_version.empty())) {
    if (in.peek() != '"') return std::nullopt;
    if (in.take_key("kind")) {
      out.kind = in.string();
    } else if (in.take_key("apiVersion")) {
      out.api_version = in.string();
    } else {
      in.string();
      in.expect(':');
      in.skip();
    }
    some = in.more('}');
  }
  if (in.failed()) return std::nullopt;
  return out;
}

std::optional<std::string> encode_protobuf(const Type& type, std::string_view json) {
  std::optional<TypeMeta> meta = type_meta_of(json);
  if (!meta) return std::nullopt;
  WireBuffer out;
  out.room(json.size() + 64);
  put_head(out, meta->api_version, meta->kind);
  constexpr size_t kGuess = 2;
  size_t begun = out.begin(kGuess);
  if (!Transcoder(json, out).message(layout_of(type, nullptr))) return std::nullopt;
  out.end(begun, kGuess);
  out.append(kEnd);
  return out.take();
}

ProtobufList::ProtobufList(const Type& list)
    : metadata_(field_of(list, "metadata")), items_(field_of(list, "items")) {}

void ProtobufList::add(WireBuffer& out, std::string_view item) const {
  const Layout& layout = layout_of(*items_.type->element, nullptr);
  constexpr size_t kGuess = 2;
  size_t before = out.size();
  for (std::string_view text : {item, std::string_view("{}")}) {
    out.tag(items_.number, kBytesWire);
    size_t begun = out.begin(kGuess);
    bool done = Transcoder(text, out).message(layout);
    out.end(begun, kGuess);
    if (done) return;
    out.truncate(before);
  }
}

std::string ProtobufList::head(std::string_view api_version, std::string_view kind,
                               std::string_view metadata, uint64_t items_bytes) const {
  WireBuffer meta;
  meta.tag(metadata_.number, kBytesWire);
  size_t begun = meta.begin(1);
  CHECK(Transcoder(metadata, meta).message(layout_of(*metadata_.type, nullptr)));
  meta.end(begun, 1);
  WireBuffer out;
  put_head(out, api_version, kind);
  out.varint(meta.size() + items_bytes);
  out.append(meta.view());
  return out.take();
}

std::string_view ProtobufList::tail() { return kEnd; }

std::string encode_protobuf_event(std::string_view type, std::string_view object) {
  // The event is {type, object}, the object {raw}.
  size_t raw = 1 + varint_size(object.size()) + object.size();
  size_t event = 1 + varint_size(type.size()) + type.size() + 1 + varint_size(raw) + raw;
  WireBuffer out;
  out.room(event + 32);
  for (int shift = 24; shift >= 0; shift -= 8) {
    char byte = static_cast<char>(event >> shift);
    out.append(std::string_view(&byte, 1));
  }
  out.bytes(1, type);
  out.tag(2, kBytesWire);
  out.varint(raw);
  out.bytes(1, object);
  return out.take();
}

}  // namespace knarr::api
