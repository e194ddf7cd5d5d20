// Secrets whose type promises something of their data.
#include "api/validation/core.h"
#include "base/base64.h"

namespace knarr::api::rules {
namespace {

// encoding/json's words for the commonest ways in which text is not JSON.
std::string json_problem(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t at = text.find_first_not_of(kSpace);
  if (at == std::string_view::npos) return "unexpected end of JSON input";
  for (std::string_view literal : {"null", "true", "false"}) {
    if (text[at] != literal[0]) continue;
    for (size_t i = 1; i < literal.size(); i++) {
      if (at + i >= text.size()) return "unexpected end of JSON input";
      if (text[at + i] == literal[i]) continue;
      return std::string("invalid character '") + text[at + i] + "' in literal " +
             std::string(literal) + " (expecting '" + literal[i] + "')";
    }
  }
  bool opens = std::string_view("{[\"-0123456789").find(text[at]) != std::string_view::npos;
  if (!opens) {
    return std::string("invalid character '") + text[at] + "' looking for beginning of value";
  }
  return "unexpected end of JSON input";
}

void docker(const Value& data, const char* key, ErrorList& errors) {
  Path path = Path("data").key(key);
  const Value* value = data.find(key);
  if (value == nullptr) return errors.required(path);
  auto bytes = base::base64_decode(value->as_string());
  std::string text = bytes.ok() ? *std::move(bytes) : std::string();
  if (!json::parse(text).ok()) {
    errors.invalid(path, "<secret contents redacted>", json_problem(text));
  }
}

void one_of_keys(const Value& data, std::initializer_list<const char*> keys, bool all,
                 ErrorList& errors) {
  bool any = false;
  for (const char* key : keys) any |= data.has(key);
  for (const char* key : keys) {
    if (all ? !data.has(key) : !any) errors.required(Path("data").key(key));
  }
}

}  // namespace

void secret_type(const Value& secret, ErrorList& errors) {
  const Value& data = secret["data"];
  std::string_view type = secret["type"].as_string();
  if (type == "kubernetes.io/service-account-token") {
    const char* kName = "kubernetes.io/service-account.name";
    if (secret["metadata"]["annotations"][kName].as_string().empty()) {
      errors.required((Path("metadata") / "annotations").key(kName));
    }
  } else if (type == "kubernetes.io/dockercfg") {
    docker(data, ".dockercfg", errors);
  } else if (type == "kubernetes.io/dockerconfigjson") {
    docker(data, ".dockerconfigjson", errors);
  } else if (type == "kubernetes.io/basic-auth") {
    one_of_keys(data, {"username", "password"}, false, errors);
  } else if (type == "kubernetes.io/ssh-auth") {
    if (data["ssh-privatekey"].as_string().empty()) {
      errors.required(Path("data").key("ssh-privatekey"));
    }
  } else if (type == "kubernetes.io/tls") {
    one_of_keys(data, {"tls.crt", "tls.key"}, true, errors);
  }
}

}  // namespace knarr::api::rules
