// Lists on the wire, item by item over as many turns of the loop as it takes: JSON is the objects'
// own bytes, joined; what must be made of an object (YAML, rows of a Table, metadata alone,
// protobuf) is made when the peer has taken what came before.
#include <algorithm>

#include "api/codec/yaml.h"
#include "api/protobuf/protobuf.h"
#include "base/format.h"
#include "server/http/body.h"
#include "server/http/reply_forms.h"

namespace knarr::server {
namespace {

using json::Value;

constexpr std::string_view kItems = "items:\n";  // in YAML
constexpr size_t kMadeAtOnce = 100;              // items that are not joined but made, in one turn

Value page_metadata(const ListPage& page) {
  Value meta = Value::object();
  if (page.revision > 0) meta.set("resourceVersion", std::to_string(page.revision));
  if (!page.continue_token.empty()) meta.set("continue", page.continue_token);
  if (page.remaining) meta.set("remainingItemCount", *page.remaining);
  return meta;
}

// A list as text: head, items with something between them, tail.
class ListText {
 public:
  using AddItem = std::function<void(const ObjectRef& object, net::Buffers& out)>;
  std::string head;
  const char* between = ",";
  std::string tail = "]}\n";
  std::vector<ObjectRef> items;
  AddItem add;
  size_t at_once = kMadeAtOnce;

  net::Buffers next(size_t about) {
    net::Buffers out(std::exchange(head, {}));
    size_t end = next_ + std::min(at_once, items.size() - next_);
    for (; next_ < end && out.size() < about; next_++) {
      ObjectRef object = std::move(items[next_]);
      if (next_ > 0) out.append(net::Slice::constant(between));
      add(object, out);
    }
    if (next_ == items.size()) out.append(net::Slice(std::exchange(tail, {})));
    return out;
  }
  std::string whole() {
    std::string out;
    for (net::Buffers part = next(SIZE_MAX); !part.empty(); part = next(SIZE_MAX)) {
      out += part.text();
    }
    return out;
  }

 private:
  size_t next_ = 0;
};

std::string list_head(std::string_view kind, std::string_view version, const Value& meta) {
  return fmt::format("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[", kind,
                     version, json::write(meta));
}

Value presented_value(const api::ResourceInfo& resource, const Object& object) {
  Result<Value> value = presented_as_stored(resource)
                            ? json::parse(object.json)
                            : json::parse(presented_json(resource, object));
  return value.ok() ? *std::move(value) : Value::object();
}

void json_items(ListText& list, const api::ResourceInfo& resource, const Value& meta) {
  list.head = list_head(resource.list_kind, resource.api_version(), meta);
  if (!presented_as_stored(resource)) {
    list.add = [&resource](const ObjectRef& object, net::Buffers& out) {
      out.append(net::Slice(item_json(resource, *object)));
    };
    return;
  }
  list.at_once = SIZE_MAX;
  size_t skip = list.items.empty() ? 0 : type_meta_size(list.items[0]->json);
  list.add = [skip](const ObjectRef& object, net::Buffers& out) {
    out.append(net::Slice::constant("{"));
    out.append(net::Slice(object, std::string_view(object->json).substr(skip)));
  };
}

// As write_yaml has the whole: keys in order, items two levels in.
void yaml_items(ListText& list, const api::ResourceInfo& resource, const Value& meta) {
  list.head = api::write_yaml(Value::object({{"apiVersion", resource.api_version()}}));
  list.head += list.items.empty() ? "items: []\n" : kItems;
  list.tail = api::write_yaml(Value::object({{"kind", resource.list_kind}, {"metadata", meta}}));
  list.between = "";
  list.add = [&resource](const ObjectRef& object, net::Buffers& out) {
    Result<Value> item = json::parse(item_json(resource, *object));
    Value one = Value::array({item.ok() ? *std::move(item) : Value::object()});
    std::string text = api::write_yaml(Value::object({{"items", std::move(one)}}));
    out.append(net::Slice(text.substr(kItems.size())));
  };
}

void partial_items(ListText& list, const std::string& version, const Value& meta) {
  list.head = list_head("PartialObjectMetadataList", "meta.k8s.io/" + version, meta);
  if (list.items.empty()) {  // Go writes a list that was never appended to as null
    list.head.pop_back();
    list.tail = "null}\n";
  }
  list.add = [version](const ObjectRef& object, net::Buffers& out) {
    out.append(net::Slice(partial_json(object->json, version)));
  };
}

void table_rows(ListText& list, const Reply& reply, const api::ResourceInfo& resource, Value meta,
                int64_t now_us) {
  Value none =
      table_value(reply, resource.group, resource.plural, {}, std::move(meta), true, now_us);
  list.head = json::write(none);
  list.head.resize(list.head.rfind(']'));  // "rows":[ and on
  Reply form;                              // what rows need of it
  form.wanted = reply.wanted;
  form.include_object = reply.include_object;
  list.add = [form, &resource, now_us](const ObjectRef& object, net::Buffers& out) {
    Value value = presented_value(resource, *object);
    api::Table table = api::to_table(resource.group, resource.plural, {&value, 1}, now_us);
    out.append(net::Slice(json::write(table_row(form, table.rows[0], std::move(value)))));
  };
}

// A list in protobuf says first how long it is. So items are encoded twice when they are many: to
// learn the length, in few turns each, and once more to be sent. What fits kKeptBytes is kept from
// the first time.
class ProtobufListReply final : public std::enable_shared_from_this<ProtobufListReply> {
 public:
  using ItemJson = std::function<std::string(const Object& object)>;
  // `made`: the JSON of an item; none: the object's own.
  ProtobufListReply(const Reply& reply, const api::Type& type, ListPage page, ItemJson made)
      : reply_(reply), page_(std::move(page)), list_(type), made_(std::move(made)) {}

  void begin(std::string api_version, std::string kind) {
    api_version_ = std::move(api_version);
    kind_ = std::move(kind);
    measure();
  }

 private:
  static constexpr size_t kKeptBytes = 256 * 1024;

  void add(api::WireBuffer& out, const Object& object) {
    if (made_) return list_.add(out, made_(object));
    list_.add(out, object.json);
  }

  void measure() {
    if (!reply_.exchange->open()) return;
    size_t end = std::min(page_.items.size(), measured_ + kMadeAtOnce);
    for (; measured_ < end; measured_++) {
      size_t before = kept_.size();
      add(kept_, *page_.items[measured_]);
      bytes_ += kept_.size() - before;
      if (sent_ < measured_ || kept_.size() > kKeptBytes) {
        kept_.truncate(before);
      } else {
        page_.items[sent_++] = nullptr;
      }
    }
    auto self = shared_from_this();
    if (measured_ < page_.items.size()) {
      return reply_.clock->defer([self] { self->measure(); });
    }
    send_body(
        reply_.exchange, 200, answer_headers(reply_, "application/vnd.kubernetes.protobuf"),
        [self](size_t about) { return self->next(about); }, *reply_.clock);
  }

  net::Buffers next(size_t about) {
    if (ended_) return {};
    if (!begun_) {
      begun_ = true;
      net::Buffers out(list_.head(api_version_, kind_, json::write(page_metadata(page_)), bytes_));
      if (kept_.size() > 0) out.append(net::Slice(kept_.take()));
      if (sent_ < page_.items.size()) return out;
      return last(std::move(out));
    }
    api::WireBuffer out;
    out.room(about + about / 8);
    size_t end = made_ ? std::min(page_.items.size(), sent_ + kMadeAtOnce) : page_.items.size();
    for (; sent_ < end && out.size() < about; sent_++) {
      ObjectRef object = std::move(page_.items[sent_]);
      add(out, *object);
    }
    net::Buffers bytes(out.take());
    return sent_ < page_.items.size() ? bytes : last(std::move(bytes));
  }

  net::Buffers last(net::Buffers out) {
    ended_ = true;
    out.append(net::Slice::constant(api::ProtobufList::tail()));
    return out;
  }

  Reply reply_;
  ListPage page_;
  api::ProtobufList list_;
  ItemJson made_;
  std::string api_version_, kind_;
  size_t measured_ = 0;
  uint64_t bytes_ = 0;    // of all items
  api::WireBuffer kept_;  // the first items, until they are sent
  size_t sent_ = 0;       // items that are sent, or kept
  bool begun_ = false;
  bool ended_ = false;
};

// true: the list is on its way in protobuf.
bool send_protobuf_list(const Reply& reply, const api::ResourceInfo& resource, ListPage& page) {
  if (!reply.wanted.protobuf || reply.clock == nullptr) return false;
  const api::Type* type = nullptr;
  std::string kind, version;
  ProtobufListReply::ItemJson made;
  if (reply.wanted.form == Form::kPartialList) {
    kind = "PartialObjectMetadataList";
    version = "meta.k8s.io/" + reply.wanted.version;
    type = api::find_type("meta.k8s.io", "v1", kind);
    made = [v = reply.wanted.version](const Object& object) {
      return partial_json(object.json, v);
    };
  } else if (reply.wanted.form == Form::kPlain) {
    kind = resource.list_kind;
    version = resource.api_version();
    type = api::find_type(resource.group, resource.version, resource.list_kind);
    if (!presented_as_stored(resource)) {
      made = [&resource](const Object& object) { return presented_json(resource, object); };
    }
  }
  if (type == nullptr) return false;
  std::make_shared<ProtobufListReply>(reply, *type, std::move(page), std::move(made))
      ->begin(std::move(version), std::move(kind));
  return true;
}

}  // namespace

void send_list(const Reply& reply, const api::ResourceInfo& resource, ListPage page,
               int64_t now_us) {
  if (reply.wanted.form == Form::kPartial) {
    return send_status(reply, wrong_form(resource.group, resource.list_kind, true));
  }
  if (reply.wanted.form == Form::kTable) {
    Result<void> known = check_include_object(reply);
    if (!known.ok()) return send_status(reply, known.error());
  }
  if (send_protobuf_list(reply, resource, page)) return;
  Value meta = page_metadata(page);
  auto list = std::make_shared<ListText>();
  list->items = std::move(page.items);
  bool yaml = reply.wanted.media == api::Media::kYaml;
  bool convert = reply.wanted.protobuf || reply.clock == nullptr;
  switch (reply.wanted.form) {
    case Form::kTable:
      table_rows(*list, reply, resource, std::move(meta), now_us);
      convert = convert || yaml;
      break;
    case Form::kPartialList:
      partial_items(*list, reply.wanted.version, meta);
      convert = convert || yaml;
      break;
    default:
      if (yaml && !convert) {
        yaml_items(*list, resource, meta);
      } else {
        json_items(*list, resource, meta);
      }
  }
  if (convert) {
    std::string text = list->whole();
    text.pop_back();
    return send_json(reply, 200, std::move(text));
  }
  send_body(
      reply.exchange, 200, answer_headers(reply, content_type(reply.wanted.media)),
      [list](size_t about) { return list->next(about); }, *reply.clock);
}

}  // namespace knarr::server
