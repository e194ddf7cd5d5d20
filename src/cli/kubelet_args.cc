#include "cli/kubelet_args.h"

#include <charconv>

#include "api/quantity.h"
#include "base/format.h"

namespace knarr::cli {

namespace {

Error bad(const std::string& key, const std::string& value, std::string_view why) {
  return make_error(Code::kBadRequest,
                    fmt::format("--kubelet-arg {}: \"{}\": {}", key, value, why));
}

Result<int64_t> number(const std::string& key, const std::string& value, int64_t least,
                       int64_t most) {
  int64_t n = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (error != std::errc() || end != value.data() + value.size() || n < least || n > most) {
    return bad(key, value, fmt::format("want a number from {} to {}", least, most));
  }
  return n;
}

Result<void> set(KubeletSettings& settings, const std::string& key, const std::string& value) {
  if (key == "container-log-max-size") {
    auto size = api::Quantity::parse(value);
    if (!size.ok() || size->value() <= 0) return bad(key, value, "want a size, as 10Mi");
    settings.log_max_bytes = size->value();
  } else if (key == "container-log-max-files") {
    TRY_ASSIGN(settings.log_max_files, number(key, value, 2, 1000));
  } else if (key == "max-pods") {
    TRY_ASSIGN(settings.max_pods, number(key, value, 1, 100000));
  } else if (key == "image-gc-high-threshold") {
    TRY_ASSIGN(int64_t percent, number(key, value, 0, 100));
    settings.eviction.image_high_percent = static_cast<int>(percent);
  } else if (key == "image-gc-low-threshold") {
    TRY_ASSIGN(int64_t percent, number(key, value, 0, 100));
    settings.eviction.image_low_percent = static_cast<int>(percent);
  } else if (key == "eviction-hard") {
    auto parsed = agent::parse_eviction(value, settings.eviction);
    if (!parsed.ok()) return bad(key, value, parsed.error().message);
  } else {
    return make_error(Code::kBadRequest, "--kubelet-arg: no such setting here: " + key);
  }
  return {};
}

}  // namespace

// A part without "=" belongs to the value before it: the flag's list was cut at commas.
Result<KubeletSettings> read_kubelet_args(const std::vector<std::string>& args) {
  KubeletSettings settings;
  for (size_t i = 0; i < args.size();) {
    std::string arg = args[i++];
    size_t equals = arg.find('=');
    if (equals == std::string::npos) {
      return make_error(Code::kBadRequest, "--kubelet-arg wants KEY=VALUE, not \"" + arg + "\"");
    }
    while (i < args.size() && args[i].find('=') == std::string::npos) arg += "," + args[i++];
    std::string key = arg.substr(0, equals);
    while (key.starts_with('-')) key.erase(0, 1);
    TRY(set(settings, key, arg.substr(equals + 1)));
  }
  if (settings.eviction.image_low_percent >= settings.eviction.image_high_percent) {
    return make_error(
        Code::kBadRequest,
        "--kubelet-arg: image-gc-low-threshold must be below image-gc-high-threshold");
  }
  return settings;
}

}  // namespace knarr::cli
