#include "runtime/image/reference.h"

#include <algorithm>

#include "base/format.h"

namespace knarr::runtime {

namespace {

constexpr size_t kMaxNameLength = 255;
constexpr std::string_view kBadFormat = "invalid reference format";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alnum(char c) { return is_digit(c) || is_lower(c) || is_upper(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

template <typename Predicate>
bool all(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

Error invalid(std::string message) { return make_error(Code::kInvalid, std::move(message)); }

// Calls fn with each part between separators; false as soon as fn is.
template <typename Fn>
bool each_part(std::string_view text, char separator, Fn fn) {
  for (;;) {
    size_t at = text.find(separator);
    if (!fn(text.substr(0, at))) return false;
    if (at == std::string_view::npos) return true;
    text.remove_prefix(at + 1);
  }
}

bool is_domain(std::string_view domain) {
  std::string_view host = domain;
  size_t colon = domain.rfind(':');
  bool bracketed = domain.starts_with('[');
  if (bracketed) {
    size_t close = domain.find(']');
    if (close == std::string_view::npos) return false;
    host = domain.substr(1, close - 1);
    std::string_view port = domain.substr(close + 1);
    if (!port.empty() && (port.size() < 2 || port[0] != ':' || !all(port.substr(1), is_digit))) {
      return false;
    }
    return !host.empty() && all(host, [](char c) { return is_hex(c) || c == ':'; });
  }
  if (colon != std::string_view::npos) {
    std::string_view port = domain.substr(colon + 1);
    if (port.empty() || !all(port, is_digit)) return false;
    host = domain.substr(0, colon);
  }
  return each_part(host, '.', [](std::string_view label) {
    return !label.empty() && label.front() != '-' && label.back() != '-' &&
           all(label, [](char c) { return is_alnum(c) || c == '-'; });
  });
}

// Letters and digits, joined by one dot, one or two underscores, or any number of dashes.
bool is_path_component(std::string_view part) {
  auto word = [](char c) { return is_lower(c) || is_digit(c); };
  if (part.empty() || !word(part.front()) || !word(part.back())) return false;
  for (size_t i = 0; i < part.size();) {
    if (word(part[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < part.size() && part[end] == part[i]) ++end;
    size_t run = end - i;
    bool fits = part[i] == '-' || (part[i] == '.' && run == 1) || (part[i] == '_' && run <= 2);
    if (!fits || !word(part[end])) return false;
    i = end;
  }
  return true;
}

bool is_tag(std::string_view tag) {
  auto word = [](char c) { return is_alnum(c) || c == '_'; };
  return !tag.empty() && tag.size() <= 128 && word(tag[0]) &&
         all(tag, [&](char c) { return word(c) || c == '.' || c == '-'; });
}

// "<algorithm>:<hex>": the form, not whether the algorithm is known.
bool is_digest_form(std::string_view digest) {
  size_t colon = digest.find(':');
  if (colon == std::string_view::npos) return false;
  std::string_view hex = digest.substr(colon + 1);
  if (hex.size() < 32 || !all(hex, is_hex)) return false;
  bool start = true;
  for (char c : digest.substr(0, colon)) {
    bool letter = is_lower(c) || is_upper(c);
    bool joint = c == '+' || c == '.' || c == '-' || c == '_';
    if (start ? !letter : !(letter || is_digit(c) || joint)) return false;
    start = joint;
  }
  return !start;
}

Result<void> check_digest(std::string_view digest) {
  size_t colon = digest.find(':');
  std::string_view algorithm = digest.substr(0, colon);
  std::string_view hex = digest.substr(colon + 1);
  size_t want = algorithm == "sha256"   ? 64
                : algorithm == "sha384" ? 96
                : algorithm == "sha512" ? 128
                                        : 0;
  if (want == 0) return invalid("unsupported digest algorithm");
  if (hex.size() != want) return invalid("invalid checksum digest length");
  if (std::any_of(hex.begin(), hex.end(), is_upper)) {
    return invalid("invalid checksum digest format");
  }
  return {};
}

struct Split {
  std::string domain;
  std::string remainder;
};

Split split_domain(std::string_view text) {
  Split split{"docker.io", std::string(text)};
  size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    std::string_view first = text.substr(0, slash);
    bool host = first == "localhost" || first.find_first_of(".:") != std::string_view::npos ||
                std::any_of(first.begin(), first.end(), is_upper);
    if (host) {
      split.domain = first == "index.docker.io" ? "docker.io" : std::string(first);
      split.remainder = std::string(text.substr(slash + 1));
    }
  }
  if (split.domain == "docker.io" && split.remainder.find('/') == std::string::npos) {
    split.remainder = "library/" + split.remainder;
  }
  return split;
}

}  // namespace

std::string Reference::text() const {
  std::string out = name();
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

Result<Reference> parse_reference(std::string_view text) {
  if (text.size() == 64 && all(text, [](char c) { return is_hex(c) && !is_upper(c); })) {
    return invalid(fmt::format(
        "invalid repository name ({}), cannot specify 64-byte hexadecimal strings", text));
  }
  Split split = split_domain(text);
  std::string_view rest = split.remainder;
  std::string_view remote = rest.substr(0, rest.find(':'));
  if (std::any_of(remote.begin(), remote.end(), is_upper)) {
    return invalid(fmt::format("{}: repository name ({}) must be lowercase", kBadFormat, remote));
  }
  Reference ref;
  ref.domain = split.domain;
  if (size_t at = rest.find('@'); at != std::string_view::npos) {
    ref.digest = std::string(rest.substr(at + 1));
    rest = rest.substr(0, at);
    if (!is_digest_form(ref.digest)) return invalid(std::string(kBadFormat));
  }
  if (size_t colon = rest.find(':'); colon != std::string_view::npos) {
    ref.tag = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
    if (!is_tag(ref.tag)) return invalid(std::string(kBadFormat));
  }
  ref.path = std::string(rest);
  if (!is_domain(ref.domain) || !each_part(ref.path, '/', is_path_component)) {
    return invalid(std::string(kBadFormat));
  }
  if (ref.path.size() > kMaxNameLength) {
    return invalid("repository name must not be more than 255 characters");
  }
  if (!ref.digest.empty()) TRY(check_digest(ref.digest));
  return ref;
}

Result<Reference> parse_image(std::string_view text) {
  TRY_ASSIGN(Reference ref, parse_reference(text));
  if (ref.tag.empty() && ref.digest.empty()) ref.tag = "latest";
  return ref;
}

Result<std::string> apply_default_tag(const std::string& image) {
  Result<Reference> ref = parse_reference(image);
  if (!ref.ok()) {
    return make_error(
        Code::kInvalid,
        fmt::format(
            "Failed to apply default image tag \"{}\": couldn't parse image name \"{}\": {}", image,
            image, ref.error().message));
  }
  return ref->tag.empty() && ref->digest.empty() ? image + ":latest" : image;
}

}  // namespace knarr::runtime
