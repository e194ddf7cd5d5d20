// What the kinds' rules share: the table they stand in, and the checks that several of them make.
// Inside src/api/validation only.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/names.h"
#include "api/quantity.h"
#include "api/validation/errors.h"
#include "api/validation/metadata.h"

namespace knarr::api::rules {

using json::Value;

using Create = void (*)(const Value& object, ErrorList& errors);
using Update = void (*)(const Value& object, const Value& old, ErrorList& errors);

// How a kind's check of an update is put together, beyond the rules for metadata that all kinds
// have. Upstream repeats itself there, and clients see each error as often as it is found.
enum Shape : uint8_t {
  kUsual = 0,             // metadata as changed, then `update`
  kCreateFirst = 1,       // before that, all that is asked of a new object
  kCreateLast = 2,        // after that
  kNoMetaUpdate = 4,      // metadata is not looked at again
  kStatusNoMeta = 8,      // nor by writes of /status
  kPlainFinalizers = 16,  // a finalizer needs no prefix
  kNoGenerateName = 32,
  kStatusMetaLast = 64,
  kNoMetadata = 128,  // the kind's own rules see to metadata
};

// Metadata is checked first, by the names' rule. Without `update`, what is to be must pass
// `create`.
struct KindRules {
  std::string_view group;
  std::string_view kind;
  NameCheck name = name_is_dns_subdomain;
  Create create = nullptr;
  Update update = nullptr;
  Update status = nullptr;
  Create full_name = nullptr;  // what the name has to do with the rest of the object
  int shape = kUsual;
};

std::span<const KindRules> core_rules();
std::span<const KindRules> policy_rules();
std::span<const KindRules> workload_rules();
std::span<const KindRules> network_rules();
std::span<const KindRules> storage_rules();
std::span<const KindRules> cluster_rules();
std::span<const KindRules> admission_rules();
std::span<const KindRules> device_rules();

inline constexpr std::string_view kNotNegative = "must be greater than or equal to 0";
inline constexpr std::string_view kImmutable = "field is immutable";
inline constexpr std::string_view kBadIp =
    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
inline constexpr std::string_view kBadCidr =
    "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

// Metadata as of a new object, where upstream looks at it once more.
void metadata_again(const Value& object, bool namespaced, ErrorList& errors);

// An integer that may be absent.
void not_negative(const Value& number, const Path& path, ErrorList& errors);
void immutable(const Value& now, const Value& old, const Path& path, ErrorList& errors,
               std::string_view detail = kImmutable);
// Absent and empty are the same.
bool same(const Value& a, const Value& b);
// Required when empty, unsupported when not among them.
void one_of(const Value& value, std::initializer_list<std::string_view> allowed, const Path& path,
            ErrorList& errors);
// The same for a field that may be absent.
void maybe_one_of(const Value& value, std::initializer_list<std::string_view> allowed,
                  const Path& path, ErrorList& errors);
std::string joined(const Problems& problems, std::string_view separator);
bool contains(std::initializer_list<std::string_view> list, std::string_view value);

void dns_label(const Value& value, const Path& path, ErrorList& errors);
void dns_subdomain(const Value& value, const Path& path, ErrorList& errors);
void qualified_name(const Value& value, const Path& path, ErrorList& errors);
void ip_address(const Value& value, const Path& path, ErrorList& errors);
void cidr(const Value& value, const Path& path, ErrorList& errors);
// Not one of the addresses that lead nowhere: unspecified, loopback, link-local.
void non_special_ip(std::string_view ip, const Path& path, ErrorList& errors);
void fully_qualified_name(const Value& value, const Path& path, ErrorList& errors);
void domain_prefixed_path(const Value& value, const Path& path, ErrorList& errors);
// A port: a number in range or a port's name.
void port_number_or_name(const Value& value, const Path& path, ErrorList& errors);
void label_selector(const Value& selector, const Path& path, ErrorList& errors);
bool selector_is_empty(const Value& selector);
// An integer >= 0, or a percentage.
void int_or_percent(const Value& value, const Path& path, ErrorList& errors);
// ... and no percentage above 100.
void not_above_all(const Value& value, const Path& path, ErrorList& errors);
// The number of a "25%"; -1 when it is none.
int64_t percent_of(const Value& value);

// A quantity that must not be negative.
void quantity_not_negative(const Value& value, const Path& path, ErrorList& errors);
// The same, and whole where the resource is counted.
void resource_quantity(std::string_view name, const Value& value, const Path& path,
                       ErrorList& errors);
// Counted in whole numbers.
bool is_integer_resource(std::string_view name);
bool is_standard_resource(std::string_view name);
bool is_quota_resource(std::string_view name);
bool is_huge_page(std::string_view name);
// Kubernetes' own; others are "extended" when their name is one that quotas can hold.
bool is_native_resource(std::string_view name);
bool is_extended_resource(std::string_view name);
// "must be a standard resource for containers"
void container_resource_name(std::string_view name, const Path& path, ErrorList& errors);
// "must be a standard resource type or fully qualified"
void resource_name(std::string_view name, const Path& path, ErrorList& errors);

// The annotations that mean something to pods.
void pod_annotations(const Value& annotations, const Value& spec, const Path& path,
                     ErrorList& errors);
void pod_template(const Value& pod_template, const Path& path, ErrorList& errors);
// `metadata` is a pod's; null in templates.
void pod_spec(const Value& spec, const Value& metadata, const Path& path, ErrorList& errors);
// Conditions of a resource's container: requests, limits, names. Shared with claims.
void container_resources(const Value& resources, const Path& path, ErrorList& errors);
void node_selector(const Value& selector, const Path& path, ErrorList& errors);
void node_selector_term(const Value& term, bool check_values, const Path& path, ErrorList& errors);
void tolerations(const Value& list, const Path& path, ErrorList& errors);
// "example.com/name", of signing requests and of volumes.
void signer_name(const Value& value, const Path& path, ErrorList& errors);
// meta/v1 Conditions.
void conditions(const Value& list, const Path& path, ErrorList& errors);
// Writes of subresources other than /status.
void scale(const Value& object, ErrorList& errors);
void subresource(std::string_view kind, std::string_view name, const Value& object,
                 const Value& old, ErrorList& errors);
void signing_request_status(const Value& object, const Value& old, ErrorList& errors);

}  // namespace knarr::api::rules
