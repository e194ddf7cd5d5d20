// Names that Kubernetes lets objects, labels and ports have. Each check returns what is wrong, in
// upstream's words; nothing wrong is an empty list.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace knarr::api {

using Problems = std::vector<std::string>;

Problems check_dns1123_label(std::string_view value);
Problems check_dns1123_subdomain(std::string_view value);
// A subdomain that may hold underscores: where caseless DNS 1123 names are too strict.
Problems check_dns1123_subdomain_with_underscore(std::string_view value);
Problems check_dns1035_label(std::string_view value);
Problems check_wildcard_dns1123_subdomain(std::string_view value);
Problems check_qualified_name(std::string_view value);
Problems check_label_value(std::string_view value);
Problems check_label_key(std::string_view value);
Problems check_c_identifier(std::string_view value);
Problems check_port_number(int64_t port);
Problems check_port_name(std::string_view value);
// The name of an environment variable: nearly any printable text.
Problems check_env_var_name(std::string_view value);
Problems check_config_map_key(std::string_view value);
Problems check_http_header_name(std::string_view value);
Problems check_percent(std::string_view value);
// Of a name in a URL path: not ".", "..", without / and %.
Problems check_path_segment(std::string_view value);

// The sentence of a value that does not match: "<what> (e.g. 'a',  or 'b', regex used for
// validation is '...')".
std::string regex_problem(std::string_view what, std::string_view regex,
                          std::initializer_list<std::string_view> examples);

bool is_dns1123_label(std::string_view value);
bool is_dns1123_subdomain(std::string_view value);
bool is_qualified_name(std::string_view value);

}  // namespace knarr::api
