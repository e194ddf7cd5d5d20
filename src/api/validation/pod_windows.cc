// What pods may ask of Windows. Nodes of it there are none here, but objects may name it.
#include <algorithm>

#include "api/validation/pod.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr size_t kCredentialSpecBytes = size_t{64} * 1024;
constexpr size_t kDomainLength = 256;
constexpr size_t kUserLength = 104;

bool is_net_bios(std::string_view domain) {
  return !domain.empty() && domain.size() <= 15 && domain[0] != '.' &&
         domain.find_first_of("\\/:*?\"<>|") == std::string_view::npos;
}

// "DOMAIN\USER", the domain may be left out.
void run_as_user_name(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view name = value.as_string();
  auto refuse = [&](std::string_view why) {
    errors.invalid(path, value, fmt::format("runAsUserName{}", why));
  };
  auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (name.empty()) return refuse(" cannot be an empty string");
  if (std::any_of(name.begin(), name.end(), is_control)) {
    return refuse(" cannot contain control characters");
  }
  size_t slash = name.find('\\');
  bool has_domain = slash != std::string_view::npos;
  if (has_domain && name.find('\\', slash + 1) != std::string_view::npos) {
    return refuse(" cannot contain more than one backslash");
  }
  std::string_view domain = has_domain ? name.substr(0, slash) : std::string_view();
  std::string_view user = has_domain ? name.substr(slash + 1) : name;
  if (domain.size() >= kDomainLength) {
    refuse(fmt::format("'s Domain length must be under {} characters", kDomainLength));
  }
  if (has_domain && !is_net_bios(domain) && !check_dns1123_subdomain(domain).empty()) {
    refuse("'s Domain doesn't match the NetBios nor the DNS format");
  }
  if (user.empty()) {
    refuse("'s User cannot be empty");
  } else if (user.size() > kUserLength) {
    refuse(fmt::format("'s User length must not be longer than {} characters", kUserLength));
  }
  if (!user.empty() && user.find_first_not_of(". ") == std::string_view::npos) {
    refuse("'s User cannot contain only periods or spaces");
  }
  if (user.find_first_of("\"/\\:;|=,+*?<>@[]") != std::string_view::npos) {
    refuse("'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
  }
}

}  // namespace

void windows_options(const Value& options, const Path& path, ErrorList& errors) {
  const Value& name = options["gmsaCredentialSpecName"];
  if (!name.is_null()) dns_subdomain(name, path / "gmsaCredentialSpecName", errors);
  const Value& spec = options["gmsaCredentialSpec"];
  if (!spec.is_null() && spec.as_string().empty()) {
    errors.invalid(path / "gmsaCredentialSpec", spec,
                   "gmsaCredentialSpec cannot be an empty string");
  } else if (spec.as_string().size() > kCredentialSpecBytes) {
    errors.invalid(path / "gmsaCredentialSpec", spec,
                   "gmsaCredentialSpec size must be under 64 KiB");
  }
  const Value& user = options["runAsUserName"];
  if (!user.is_null()) run_as_user_name(user, path / "runAsUserName", errors);
}

void windows_host_process(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& whole = spec["securityContext"]["windowsOptions"]["hostProcess"];
  size_t all = 0;
  size_t of_host = 0;
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    size_t i = 0;
    for (const Value& c : spec[list].elements()) {
      Path at = (path / list)[i++] / "securityContext" / "windowsOptions" / "hostProcess";
      const Value& own = c["securityContext"]["windowsOptions"]["hostProcess"];
      all++;
      if (!whole.is_null() && !own.is_null() && whole != own) {
        errors.invalid(at, own,
                       fmt::format("pod hostProcess value must be identical if both are "
                                   "specified, was {}",
                                   whole.as_bool()));
      }
      if (own.is_null() ? whole.as_bool() : own.as_bool()) of_host++;
    }
  }
  if (of_host == 0) return;
  if (of_host != all) {
    errors.invalid(path, "",
                   "If pod contains any hostProcess containers then all containers must be "
                   "HostProcess containers");
  }
  if (!spec["hostNetwork"].as_bool()) {
    errors.invalid(path / "hostNetwork", false,
                   "hostNetwork must be true if pod contains any hostProcess containers");
  }
}

}  // namespace knarr::api::rules
