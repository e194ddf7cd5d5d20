// From JSON text straight to messages, in one pass without values between. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/protobuf/json_text.h"
#include "api/protobuf/layout.h"
#include "api/protobuf/wire.h"

namespace knarr::api {

// Members of JSON most often come by ascending number, as the message has them: each is written
// when it is read, after the zeros of those that were left out before it. A message whose struct
// has them otherwise is put in order at its end. (Where only the text has another order than ours,
// the message has it too, which means the same: of a number that comes twice the last one counts,
// and messages are merged.) What is of another kind than its type says counts as absent; members
// that the type does not know are left out.
class Transcoder {
 public:
  Transcoder(std::string_view json, WireBuffer& out) : in_(json), out_(out) {}

  // The content of the message that the text is. false: the text is not JSON, or too deep; what was
  // written so far is of no use then.
  bool message(const Layout& layout);

 private:
  // A message on its way. Those of embedded structs lie within that of the struct.
  struct Open {
    const Layout* layout;
    size_t begun;       // of the content, in out_
    size_t guess;       // bytes left for the length
    size_t first_part;  // in parts_
    size_t next;        // the slots before it are written
    uint16_t slot;      // in the outer one, which began there:
    size_t slot_begun;
    bool ordered;
  };
  // What a slot has written; of messages that may have to be put in order.
  struct Part {
    uint16_t slot;
    size_t begin;
    size_t end;
  };

  void object(const Layout& layout);
  int key(const Type& type, size_t expected);
  void member(Open& open, uint16_t index);
  void elements(int number, const Type& element, const Slot& slot);
  void entries(int number, const Type& element, const Slot& slot);
  void element(int number, const Type& type, const Slot& slot);
  void value(int number, const Type& type, const Slot& slot);
  void content(const Type& type, const Slot& slot);
  void schema_form(const Type& type, const Slot& slot);
  void struct_value(int number, const Layout& layout);
  int64_t integer();
  double real();
  void time();

  Open begin(const Layout& layout, size_t guess);
  Open begin_embedded(Open& outer, uint16_t index);
  void end_embedded(const Open& outer, Open& open);
  void finish(Open& open);
  void arrange(const Open& open);
  size_t reach(Open& open, uint16_t index);
  void written(const Open& open, uint16_t slot, size_t begun) {
    if (!open.layout->in_order) parts_.push_back({slot, begun, out_.size()});
  }

  JsonText in_;
  WireBuffer& out_;
  std::vector<Part> parts_;
  std::string arranged_;
  size_t entry_guess_ = 1;
  int depth_ = 0;
};

}  // namespace knarr::api
