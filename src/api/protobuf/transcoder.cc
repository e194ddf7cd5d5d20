#include "api/protobuf/transcoder.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>

#include "api/duration.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/time.h"
#include "knarr/check.h"

namespace knarr::api {
namespace {

constexpr int kMaxDepth = 500;   // of objects within objects
constexpr size_t kEmbedded = 4;  // of structs embedded in one another

// A value that begins so is one of the kind.
bool fits(TypeKind kind, char first) {
  bool number = first == '-' || (first >= '0' && first <= '9');
  bool boolean = first == 't' || first == 'f';
  switch (kind) {
    case TypeKind::kString:
    case TypeKind::kBytes:
    case TypeKind::kTime:
    case TypeKind::kMicroTime:
    case TypeKind::kDuration:
    case TypeKind::kQuantity: return first == '"';
    case TypeKind::kBool: return boolean;
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kDouble: return number;
    case TypeKind::kIntOrString: return first == '"' || number;
    case TypeKind::kAny: return first != 'n';
    case TypeKind::kStruct:
    case TypeKind::kMap: return first == '{';
    case TypeKind::kList: return first == '[';
    case TypeKind::kSchemaOrBool: return first == '{' || boolean;
    case TypeKind::kSchemaOrArray:
    case TypeKind::kSchemaOrStrings: return first == '{' || first == '[';
  }
  return false;
}

size_t length_guess(const Layout& layout) {
  return std::atomic_ref<uint8_t>(layout.length_guess).load(std::memory_order_relaxed);
}

void learn_length(const Layout& layout, size_t took) {
  std::atomic_ref<uint8_t>(layout.length_guess)
      .store(static_cast<uint8_t>(took), std::memory_order_relaxed);
}

}  // namespace

bool Transcoder::message(const Layout& layout) {
  object(layout);
  return !in_.failed();
}

Transcoder::Open Transcoder::begin(const Layout& layout, size_t guess) {
  return {&layout, out_.begin(guess), guess, parts_.size(), 0, 0, 0, true};
}

// Where the slot begins, after the zeros of those that stand before it.
size_t Transcoder::reach(Open& open, uint16_t index) {
  if (index < open.next) {
    open.ordered = false;
  } else {
    if (index > open.next) out_.append(open.layout->zeros(open.next, index));
    open.next = index + size_t{1};
  }
  return out_.size();
}

Transcoder::Open Transcoder::begin_embedded(Open& outer, uint16_t index) {
  const Slot& slot = outer.layout->slots[index];
  const Layout& layout = layout_of(*outer.layout->type, slot.inner);
  size_t begun = reach(outer, index);
  out_.tag(slot.number, kBytesWire);
  Open open = begin(layout, length_guess(layout));
  open.slot = index;
  open.slot_begun = begun;
  return open;
}

void Transcoder::end_embedded(const Open& outer, Open& open) {
  finish(open);
  learn_length(*open.layout, out_.end(open.begun, open.guess));
  written(outer, open.slot, open.slot_begun);
}

void Transcoder::finish(Open& open) {
  size_t count = open.layout->slots.size();
  if (!open.ordered && !open.layout->in_order) {
    arrange(open);
  } else if (open.next < count) {
    out_.append(open.layout->zeros(open.next, count));
  }
  parts_.erase(parts_.begin() + static_cast<ptrdiff_t>(open.first_part), parts_.end());
}

void Transcoder::arrange(const Open& open) {
  auto first = parts_.begin() + static_cast<ptrdiff_t>(open.first_part);
  std::stable_sort(first, parts_.end(),
                   [](const Part& a, const Part& b) { return a.slot < b.slot; });
  arranged_.clear();
  size_t next = 0;
  for (auto part = first; part != parts_.end(); ++part) {
    if (part->slot >= next) {
      arranged_ += open.layout->zeros(next, part->slot);
      next = part->slot + size_t{1};
    }
    arranged_ += out_.view(part->begin).substr(0, part->end - part->begin);
  }
  arranged_ += open.layout->zeros(next, open.layout->slots.size());
  out_.truncate(open.begun);
  out_.append(arranged_);
}

// The members of an object, into the message and those of its embedded structs.
void Transcoder::object(const Layout& layout) {
  if (++depth_ > kMaxDepth) in_.fail();
  std::array<Open, kEmbedded> open;  // as many as are begun
  size_t top = 0;
  open[0] = begin(layout, 0);
  size_t expected = 0;
  bool some = in_.expect('{') && !in_.take('}');
  while (some) {
    int index = key(*layout.type, expected);
    if (in_.failed()) break;
    if (index < 0) {
      in_.skip();
    } else {
      expected = static_cast<size_t>(index) + 1;
      while (top > 0 && open[top].layout->slot_of[expected - 1] == Layout::kNone) {
        end_embedded(open[top - 1], open[top]);
        top--;
      }
      uint16_t slot = open[top].layout->slot_of[expected - 1];
      while (slot != Layout::kNone && open[top].layout->slots[slot].inner != nullptr) {
        CHECK(top + 1 < kEmbedded);
        open[top + 1] = begin_embedded(open[top], slot);
        top++;
        slot = open[top].layout->slot_of[expected - 1];
      }
      if (slot == Layout::kNone) {
        in_.skip();
      } else {
        member(open[top], slot);
      }
    }
    some = in_.more('}');
  }
  for (; top > 0; top--) end_embedded(open[top - 1], open[top]);
  finish(open[0]);
  depth_--;
}

// The field whose key comes; -1: none has it. Most often it is the expected one, or soon after.
int Transcoder::key(const Type& type, size_t expected) {
  if (in_.peek() != '"') {
    in_.fail();
    return -1;
  }
  std::span<const Field> fields = type.fields();
  for (size_t n = 0, i = expected; n < fields.size(); n++, i++) {
    if (i >= fields.size()) i = 0;
    if (in_.take_key(fields[i].name())) return static_cast<int>(i);
  }
  in_.string();
  in_.expect(':');
  return -1;
}

void Transcoder::member(Open& open, uint16_t index) {
  const Slot& slot = open.layout->slots[index];
  const Type& type = *slot.field->type;
  if (!fits(type.kind, in_.peek())) return in_.skip();
  size_t begun = reach(open, index);
  if (type.kind == TypeKind::kList && !slot.field->is(Field::kWrapped)) {
    elements(slot.number, *type.element, slot);
  } else if (type.kind == TypeKind::kMap) {
    entries(slot.number, *type.element, slot);
  } else {
    value(slot.number, type, slot);
  }
  written(open, index, begun);
}

void Transcoder::element(int number, const Type& type, const Slot& slot) {
  if (fits(type.kind, in_.peek())) return value(number, type, slot);
  in_.skip();
  put_zero(out_, number, type);
}

void Transcoder::elements(int number, const Type& type, const Slot& slot) {
  if (!in_.expect('[') || in_.take(']')) return;
  do {
    element(number, type, slot);
  } while (in_.more(']'));
}

void Transcoder::entries(int number, const Type& type, const Slot& slot) {
  if (!in_.expect('{') || in_.take('}')) return;
  do {
    out_.tag(number, kBytesWire);
    size_t guess = entry_guess_;
    size_t begun = out_.begin(guess);
    out_.bytes(1, in_.string());
    in_.expect(':');
    element(2, type, slot);
    entry_guess_ = out_.end(begun, guess);
  } while (in_.more('}'));
}

void Transcoder::struct_value(int number, const Layout& layout) {
  out_.tag(number, kBytesWire);
  size_t guess = length_guess(layout);
  size_t begun = out_.begin(guess);
  object(layout);
  learn_length(layout, out_.end(begun, guess));
}

void Transcoder::value(int number, const Type& type, const Slot& slot) {
  switch (type.kind) {
    case TypeKind::kString: return out_.bytes(number, in_.string());
    case TypeKind::kBool: return out_.integer(number, in_.word() == "true" ? 1 : 0);
    case TypeKind::kInt32:
    case TypeKind::kInt64: return out_.integer(number, integer());
    case TypeKind::kStruct: return struct_value(number, slot.below(type));
    case TypeKind::kBytes: {
      Result<std::string> bytes = base::base64_decode(in_.string());
      return out_.bytes(number, bytes.ok() ? *bytes : std::string());
    }
    case TypeKind::kDouble: {
      double d = real();
      char raw[8];
      std::memcpy(raw, &d, 8);
      out_.tag(number, kFixed64Wire);
      return out_.append(std::string_view(raw, 8));
    }
    default: break;
  }
  out_.tag(number, kBytesWire);
  size_t begun = out_.begin(1);
  content(type, slot);
  out_.end(begun, 1);
}

// The message that a value of one of the other kinds is.
void Transcoder::content(const Type& type, const Slot& slot) {
  switch (type.kind) {
    case TypeKind::kTime:
    case TypeKind::kMicroTime: return time();
    case TypeKind::kQuantity: return out_.bytes(1, in_.string());
    case TypeKind::kDuration: {
      Result<int64_t> ns = parse_duration(in_.string());
      return out_.integer(1, ns.ok() ? *ns : 0);
    }
    case TypeKind::kIntOrString: {
      bool text = in_.peek() == '"';
      out_.integer(1, text ? 1 : 0);
      out_.integer(2, text ? 0 : integer());
      return out_.bytes(3, text ? in_.string() : std::string_view());
    }
    case TypeKind::kList: return elements(1, *type.element, slot);
    case TypeKind::kMap: return entries(1, *type.element, slot);
    case TypeKind::kAny: return out_.bytes(1, in_.raw());
    default: return schema_form(type, slot);
  }
}

void Transcoder::schema_form(const Type& type, const Slot& slot) {
  char first = in_.peek();
  if (type.kind == TypeKind::kSchemaOrBool) {
    out_.integer(1, first == '{' || in_.word() == "true" ? 1 : 0);
    if (first == '{') struct_value(2, slot.below(type));
    return;
  }
  if (first == '{') return struct_value(1, slot.below(type));
  if (!in_.expect('[') || in_.take(']')) return;
  do {
    bool text = type.kind == TypeKind::kSchemaOrStrings;
    if (in_.peek() != (text ? '"' : '{')) {
      in_.skip();
    } else if (text) {
      out_.bytes(2, in_.string());
    } else {
      struct_value(2, slot.below(type));
    }
  } while (in_.more(']'));
}

int64_t Transcoder::integer() {
  std::string_view word = in_.word();
  int64_t v = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), v);
  if (error == std::errc() && end == word.data() + word.size()) return v;
  Result<json::Value> odd = json::parse(word);  // a fraction, or past what 64 bits hold
  return odd.ok() ? odd->as_int() : 0;
}

double Transcoder::real() {
  Result<json::Value> number = json::parse(in_.word());
  return number.ok() ? number->as_double() : 0;
}

void Transcoder::time() {
  std::string_view text = in_.string();
  if (text.empty()) return;
  Result<int64_t> us = base::parse_time(text);
  if (!us.ok()) return;
  int64_t seconds = *us / 1000000;
  int64_t rest = *us % 1000000;
  if (rest < 0) {
    rest += 1000000;
    seconds--;
  }
  out_.integer(1, seconds);
  out_.integer(2, rest * 1000);
}

}  // namespace knarr::api
