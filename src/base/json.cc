// The one file that includes Boost.JSON's values. A json::Value is the storage of a
// boost::json::value and nothing else, so an array of the one is an array of the other.
#include "base/json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <limits>
#include <new>

#include "base/json_text.h"

namespace knarr::json {

namespace bj = boost::json;

static_assert(sizeof(Value) == sizeof(bj::value));
static_assert(alignof(Value) == alignof(bj::value));

struct Access {
  static bj::value& get(Value& v) {
    return *std::launder(reinterpret_cast<bj::value*>(v.storage_));
  }
  static const bj::value& get(const Value& v) {
    return *std::launder(reinterpret_cast<const bj::value*>(v.storage_));
  }
  static Value* wrap(bj::value* v) { return reinterpret_cast<Value*>(v); }
  static const Value* wrap(const bj::value* v) { return reinterpret_cast<const Value*>(v); }
};

namespace {

bj::value& get(Value& v) { return Access::get(v); }
const bj::value& get(const Value& v) { return Access::get(v); }

const Value& null_value() {
  static const Value null;
  return null;
}

bj::object& make_object(bj::value& v) { return v.is_object() ? v.as_object() : v.emplace_object(); }

bj::array& make_array(bj::value& v) { return v.is_array() ? v.as_array() : v.emplace_array(); }

// A container with room to grow adds in place, and what borrows from it works on until the day the
// room is used up. Where the address sanitizer looks on, everything moves at every addition.
#if defined(__SANITIZE_ADDRESS__)
#define KNARR_MOVES_MEMBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KNARR_MOVES_MEMBERS 1
#endif
#endif

#ifdef KNARR_MOVES_MEMBERS
constexpr size_t kMovedAtMost = 256;  // so that big ones stay linear

void before_addition(bj::object& o) {
  if (o.size() > kMovedAtMost) return;
  bj::object moved(o.storage());
  moved.reserve(o.size() + 1);
  for (auto& pair : o) moved.emplace(pair.key(), std::move(pair.value()));
  o = std::move(moved);
}

void before_addition(bj::array& a) {
  if (a.size() > kMovedAtMost) return;
  bj::array moved(a.storage());
  moved.reserve(a.size() + 1);
  for (bj::value& element : a) moved.push_back(std::move(element));
  a = std::move(moved);
}
#else
void before_addition(bj::object&) {}
void before_addition(bj::array&) {}
#endif

bj::string_view view(std::string_view s) { return {s.data(), s.size()}; }

}  // namespace

Value::Value() noexcept { new (storage_) bj::value(nullptr); }
Value::Value(bool b) noexcept { new (storage_) bj::value(b); }
Value::Value(int i) noexcept { new (storage_) bj::value(i); }
Value::Value(int64_t i) noexcept { new (storage_) bj::value(i); }
Value::Value(uint64_t u) noexcept { new (storage_) bj::value(u); }
Value::Value(double d) noexcept { new (storage_) bj::value(d); }
Value::Value(std::string_view s) { new (storage_) bj::value(view(s)); }
Value::Value(const char* s) : Value(std::string_view(s)) {}
Value::Value(const std::string& s) : Value(std::string_view(s)) {}

Value Value::object(std::initializer_list<std::pair<std::string_view, Value>> members) {
  Value v;
  get(v).emplace_object();
  for (const auto& [key, value] : members) v.set(key, value);
  return v;
}

Value Value::array(std::initializer_list<Value> elements) {
  Value v;
  get(v).emplace_array();
  for (const Value& e : elements) v.push_back(e);
  return v;
}

Value::Value(const Value& other) { new (storage_) bj::value(get(other)); }
Value::Value(Value&& other) noexcept { new (storage_) bj::value(std::move(get(other))); }

Value& Value::operator=(const Value& other) {
  if (this != &other) {
    Value copy(other);  // other may be a part of *this
    get(*this) = std::move(get(copy));
  }
  return *this;
}

Value& Value::operator=(Value&& other) noexcept {
  if (this != &other) {
    Value moved(std::move(other));
    get(*this) = std::move(get(moved));
  }
  return *this;
}

Value::~Value() { get(*this).~value(); }

Kind Value::kind() const noexcept {
  switch (get(*this).kind()) {
    case bj::kind::null: return Kind::kNull;
    case bj::kind::bool_: return Kind::kBool;
    case bj::kind::int64: return Kind::kInt;
    case bj::kind::uint64: return Kind::kUint;
    case bj::kind::double_: return Kind::kDouble;
    case bj::kind::string: return Kind::kString;
    case bj::kind::array: return Kind::kArray;
    case bj::kind::object: return Kind::kObject;
  }
  return Kind::kNull;
}

bool Value::as_bool(bool fallback) const noexcept {
  const bool* b = get(*this).if_bool();
  return b != nullptr ? *b : fallback;
}

int64_t Value::as_int(int64_t fallback) const noexcept {
  const bj::value& v = get(*this);
  if (const int64_t* i = v.if_int64()) return *i;
  if (const uint64_t* u = v.if_uint64()) {
    return static_cast<int64_t>(std::min<uint64_t>(*u, std::numeric_limits<int64_t>::max()));
  }
  if (const double* d = v.if_double()) {
    if (*d >= 9.2233720368547758e18) return std::numeric_limits<int64_t>::max();
    if (*d <= -9.2233720368547758e18) return std::numeric_limits<int64_t>::min();
    return static_cast<int64_t>(*d);
  }
  return fallback;
}

double Value::as_double(double fallback) const noexcept {
  const bj::value& v = get(*this);
  if (const double* d = v.if_double()) return *d;
  if (const int64_t* i = v.if_int64()) return static_cast<double>(*i);
  if (const uint64_t* u = v.if_uint64()) return static_cast<double>(*u);
  return fallback;
}

std::string_view Value::as_string(std::string_view fallback) const noexcept {
  const bj::string* s = get(*this).if_string();
  return s != nullptr ? std::string_view(s->data(), s->size()) : fallback;
}

size_t Value::size() const noexcept {
  const bj::value& v = get(*this);
  if (const bj::object* o = v.if_object()) return o->size();
  if (const bj::array* a = v.if_array()) return a->size();
  return 0;
}

bool Value::empty() const noexcept {
  const bj::string* s = get(*this).if_string();
  if (s != nullptr) return s->empty();
  return (is_null() || is_array() || is_object()) && size() == 0;
}

const Value* Value::find(std::string_view key) const& noexcept {
  const bj::object* o = get(*this).if_object();
  return o != nullptr ? Access::wrap(o->if_contains(view(key))) : nullptr;
}

Value* Value::find(std::string_view key) & noexcept {
  bj::object* o = get(*this).if_object();
  return o != nullptr ? Access::wrap(o->if_contains(view(key))) : nullptr;
}

const Value& Value::operator[](std::string_view key) const& noexcept {
  const Value* v = find(key);
  return v != nullptr ? *v : null_value();
}

Value& Value::member(std::string_view key) {
  bj::object& o = make_object(get(*this));
  // Boost makes room before it looks: what is there must not move for it.
  if (bj::value* there = o.if_contains(view(key))) return *Access::wrap(there);
  before_addition(o);
  return *Access::wrap(&o[view(key)]);
}

Value& Value::set(std::string_view key, Value value) {
  member(key) = std::move(value);
  return *this;
}

bool Value::erase(std::string_view key) {
  bj::object* o = get(*this).if_object();
  if (o == nullptr) return false;
  auto it = o->find(view(key));
  if (it == o->end()) return false;
  o->stable_erase(it);
  return true;
}

Members Value::members() & {
  bj::object* o = get(*this).if_object();
  if (o == nullptr || o->empty()) return {nullptr, nullptr};
  auto* begin = reinterpret_cast<unsigned char*>(&*o->begin());
  return {begin, begin + o->size() * sizeof(bj::key_value_pair)};
}

Members Value::members() const& { return const_cast<Value*>(this)->members(); }

Member Members::Iterator::operator*() const {
  auto* pair = reinterpret_cast<bj::key_value_pair*>(at_);
  bj::string_view key = pair->key();
  return {{key.data(), key.size()}, *Access::wrap(&pair->value())};
}

Members::Iterator& Members::Iterator::operator++() {
  at_ += sizeof(bj::key_value_pair);
  return *this;
}

const Value& Value::operator[](size_t i) const& noexcept {
  const bj::array* a = get(*this).if_array();
  return a != nullptr && i < a->size() ? *Access::wrap(a->data() + i) : null_value();
}

Value& Value::at(size_t i) {
  CHECK(i < size() && is_array());
  return *Access::wrap(get(*this).as_array().data() + i);
}

Value& Value::push_back(Value value) {
  bj::array& a = make_array(get(*this));
  before_addition(a);
  a.push_back(std::move(get(value)));
  return *Access::wrap(&a.back());
}

void Value::insert(size_t i, Value value) {
  bj::array& a = make_array(get(*this));
  before_addition(a);
  CHECK(i <= a.size());
  a.insert(a.begin() + static_cast<ptrdiff_t>(i), std::move(get(value)));
}

void Value::erase_at(size_t i) {
  CHECK(i < size() && is_array());
  bj::array& a = get(*this).as_array();
  a.erase(a.begin() + static_cast<ptrdiff_t>(i));
}

Elements Value::elements() & {
  bj::array* a = get(*this).if_array();
  if (a == nullptr) return {nullptr, nullptr};
  return {Access::wrap(a->data()), Access::wrap(a->data() + a->size())};
}

Elements Value::elements() const& { return const_cast<Value*>(this)->elements(); }

bool Value::operator==(const Value& other) const noexcept { return get(*this) == get(other); }

Result<Value> parse(std::string_view text) {
  bj::parse_options options;
  options.max_depth = 10000;
  bj::error_code error;
  bj::stream_parser parser({}, options);
  size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && used < text.size()) {
    return make_error(Code::kBadRequest,
                      "invalid character after top-level value at byte " + std::to_string(used));
  }
  if (!error) parser.finish(error);
  if (error) {
    return make_error(Code::kBadRequest,
                      "invalid JSON at byte " + std::to_string(used) + ": " + error.message());
  }
  Value v;
  get(v) = parser.release();
  return v;
}

void append(std::string& out, const Value& value) {
  bj::serializer serializer;
  serializer.reset(&get(value));
  char buffer[4096];
  while (!serializer.done()) {
    bj::string_view part = serializer.read(buffer, sizeof buffer);
    out.append(part.data(), part.size());
  }
}

std::string write(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (size_t at = 0;; at++) {
    size_t end = end_of_plain(text, at);
    out.append(text, at, end - at);
    if (end == text.size()) break;
    at = end;
    char c = text[at];
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += kHex[static_cast<unsigned char>(c) >> 4];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

}  // namespace knarr::json
