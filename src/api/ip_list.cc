#include "api/ip_list.h"

#include "base/ascii.h"

namespace knarr::api {

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    size_t comma = std::min(list.find(','), list.size());
    std::string part(base::trim(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (!part.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

std::string join_list(const std::vector<std::string>& parts) {
  std::string list;
  for (const std::string& part : parts) list += (list.empty() ? "" : ",") + part;
  return list;
}

std::string of_family(std::string_view list, bool v6) {
  for (std::string& part : split_list(list)) {
    if (is_v6(part) == v6) return std::move(part);
  }
  return {};
}

std::string first_of(std::string_view list) {
  std::vector<std::string> parts = split_list(list);
  return parts.empty() ? std::string() : parts.front();
}

}  // namespace knarr::api
