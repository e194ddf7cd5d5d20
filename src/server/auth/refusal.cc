#include "server/auth/refusal.h"

#include "base/format.h"

namespace knarr::server {

Error refusal(const Attributes& a, const Decision& decision) {
  std::string why;
  auto details = std::make_shared<ErrorDetails>();
  std::string message;
  if (!a.resource_request) {
    message =
        fmt::format("forbidden: User \"{}\" cannot {} path \"{}\"", a.user->name, a.verb, a.path);
  } else {
    std::string resource = a.subresource.empty() ? a.resource : a.resource + "/" + a.subresource;
    std::string where =
        a.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", a.ns);
    message = a.group.empty() ? a.resource : a.resource + "." + a.group;
    if (!a.name.empty()) message += fmt::format(" \"{}\"", a.name);
    message +=
        fmt::format(" is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}",
                    a.user->name, a.verb, resource, a.group, where);
    details->group = a.group;
    details->kind = a.resource;
    details->name = a.name;
  }
  if (!decision.reason.empty()) message += ": " + decision.reason;
  return Error{Code::kForbidden, std::move(message), std::move(details)};
}

}  // namespace knarr::server
