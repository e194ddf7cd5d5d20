// Content negotiation: in which form an answer is wanted, in which a body came. Pure.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "api/codec/decode.h"
#include "knarr/client.h"
#include "knarr/result.h"

namespace knarr::server {

enum class Form { kPlain, kTable, kPartial, kPartialList, kDiscovery };

struct Wanted {
  api::Media media = api::Media::kJson;
  Form form = Form::kPlain;
  std::string version;    // of the form: "v1"
  bool protobuf = false;  // in Kubernetes' protobuf instead of `media`
};

enum class Accepts { kPlainOnly, kForms, kStream, kDiscovery };

// kNotAcceptable in upstream's words.
Result<Wanted> negotiate(std::string_view accept, Accepts accepts);

// Which of the offered types a client would rather have; none given: the first. nullopt: none of
// them.
std::optional<std::string_view> accepted_type(std::string_view accept,
                                              std::initializer_list<std::string_view> offered);

// Of a body that holds an object; nullopt: 415.
std::optional<api::Media> media_of(std::string_view content_type);
bool is_protobuf(std::string_view content_type);
std::optional<client::PatchType> patch_type_of(std::string_view content_type);

std::string_view content_type(api::Media media);

}  // namespace knarr::server
