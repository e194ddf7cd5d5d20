// Ingresses and their classes.
#include "api/ip.h"
#include "api/validation/network.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

// A group, a kind and a name, as parts of a path.
void object_reference(const Value& ref, const Path& path, ErrorList& errors) {
  if (!ref["apiGroup"].is_null()) dns_subdomain(ref["apiGroup"], path / "apiGroup", errors);
  for (const char* member : {"kind", "name"}) {
    std::string_view text = ref[member].as_string();
    if (text.empty()) {
      errors.required(path / member);
    } else {
      errors.invalid_all(path / member, text, check_path_segment(text));
    }
  }
}

void backend(const Value& backend, const Path& path, ErrorList& errors) {
  bool service = !backend["service"].is_null();
  bool resource = !backend["resource"].is_null();
  if (service && resource) {
    errors.invalid(path, "", "cannot set both resource and service backends");
  } else if (resource) {
    object_reference(backend["resource"], path / "resource", errors);
  } else if (!service) {
    errors.invalid(path, "", "resource or service backend is required");
  } else {
    const Value& target = backend["service"];
    Path at = path / "service";
    if (target["name"].as_string().empty()) {
      errors.required(at / "name");
    } else {
      errors.invalid_all(at / "name", target["name"],
                         check_dns1123_label(target["name"].as_string()));
    }
    const Value& port = target["port"];
    bool named = !port["name"].as_string().empty();
    bool numbered = port["number"].as_int() != 0;
    if (named && numbered) {
      errors.invalid(path, "", "cannot set both port name & port number");
    } else if (named) {
      errors.invalid_all(at / "port" / "name", port["name"],
                         check_port_name(port["name"].as_string()));
    } else if (numbered) {
      errors.invalid_all(at / "port" / "number", port["number"],
                         check_port_number(port["number"].as_int()));
    } else {
      errors.required(path, "port name or number is required");
    }
  }
}

void http_path(const Value& rule, const Path& path, ErrorList& errors) {
  const Value& type = rule["pathType"];
  std::string_view text = rule["path"].as_string();
  if (type.is_null()) {
    errors.required(path / "pathType", "pathType must be specified");
    return;
  }
  bool known = contains({"Exact", "ImplementationSpecific", "Prefix"}, type.as_string());
  bool strict = type.as_string() == "Exact" || type.as_string() == "Prefix";
  if (!known) {
    errors.not_supported(path / "pathType", type, {"Exact", "ImplementationSpecific", "Prefix"});
  } else if (strict || !text.empty()) {
    if (text.empty() || text[0] != '/') {
      errors.invalid(path / "path", text, "must be an absolute path");
    }
    for (std::string_view part : {"//", "/./", "/../", "%2f", "%2F"}) {
      if (strict && text.find(part) != std::string_view::npos) {
        errors.invalid(path / "path", text, fmt::format("must not contain '{}'", part));
      }
    }
    for (std::string_view end : {"/..", "/."}) {
      bool ends = text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
      if (strict && ends) {
        errors.invalid(path / "path", text, fmt::format("cannot end with '{}'", end));
      }
    }
  }
  backend(rule["backend"], path / "backend", errors);
}

void ingress_host(std::string_view host, const Path& path, ErrorList& errors) {
  if (host.find('*') != std::string_view::npos) {
    errors.invalid_all(path, host, check_wildcard_dns1123_subdomain(host));
  } else {
    dns_subdomain(host, path, errors);
  }
}

void ingress_spec(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (spec["rules"].empty() && spec["defaultBackend"].is_null()) {
    errors.invalid(path, spec["rules"].is_null() ? Value::array() : spec["rules"],
                   "either `defaultBackend` or `rules` must be specified");
  }
  if (!spec["defaultBackend"].is_null()) {
    backend(spec["defaultBackend"], path / "defaultBackend", errors);
  }
  size_t i = 0;
  for (const Value& rule : spec["rules"].elements()) {
    Path at = (path / "rules")[i++];
    std::string_view host = rule["host"].as_string();
    if (IpAddress::parse(host)) {
      errors.invalid(at / "host", host, "must be a DNS name, not an IP address");
    }
    if (!host.empty()) ingress_host(host, at / "host", errors);
    if (rule["http"].is_null()) continue;
    if (rule["http"]["paths"].empty()) errors.required(at / "http" / "paths");
    size_t j = 0;
    for (const Value& one : rule["http"]["paths"].elements()) {
      http_path(one, (at / "http" / "paths")[j++], errors);
    }
  }
  i = 0;
  for (const Value& tls : spec["tls"].elements()) {
    Path at = (path / "tls")[i++];
    size_t j = 0;
    for (const Value& host : tls["hosts"].elements()) {
      ingress_host(host.as_string(), (at / "hosts")[j++], errors);
    }
    if (!tls["secretName"].as_string().empty()) {
      dns_subdomain(tls["secretName"], at / "secretName", errors);
    }
  }
  if (!spec["ingressClassName"].is_null()) {
    dns_subdomain(spec["ingressClassName"], path / "ingressClassName", errors);
  }
}

}  // namespace

void ingress(const Value& object, ErrorList& errors) {
  ingress_spec(object, errors);
  constexpr const char* kClass = "kubernetes.io/ingress.class";
  const Value& annotation = object["metadata"]["annotations"][kClass];
  const Value& name = object["spec"]["ingressClassName"];
  if (!annotation.is_null() && !name.is_null() && !(annotation == name)) {
    errors.invalid(Path("annotations") / kClass, annotation,
                   "must match `ingressClassName` when both are specified");
  }
}

void ingress_update(const Value& object, const Value&, ErrorList& errors) {
  metadata_again(object, true, errors);
  ingress_spec(object, errors);
}

void ingress_status(const Value& object, const Value&, ErrorList& errors) {
  load_balancer_ingress(object["status"]["loadBalancer"]["ingress"],
                        Path("status") / "loadBalancer" / "ingress", errors);
}

void ingress_class(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (spec["controller"].as_string().size() > 250) errors.too_long(path / "controller", 250);
  domain_prefixed_path(spec["controller"], path / "controller", errors);
  const Value& parameters = spec["parameters"];
  if (parameters.is_null()) return;
  Path at = path / "parameters";
  object_reference(parameters, at, errors);
  std::string_view scope = parameters["scope"].as_string();
  if (parameters["scope"].is_null()) {
    errors.required(at / "scope");
  } else if (scope != "Cluster" && scope != "Namespace") {
    errors.not_supported(at / "scope", scope, {"Cluster", "Namespace"});
  } else if (scope == "Namespace" && parameters["namespace"].is_null()) {
    errors.required(at / "namespace", "`parameters.scope` is set to 'Namespace'");
  } else if (scope == "Namespace") {
    dns_label(parameters["namespace"], at / "namespace", errors);
  } else if (scope == "Cluster" && !parameters["namespace"].is_null()) {
    errors.forbidden(at / "namespace", "`parameters.scope` is set to 'Cluster'");
  }
}

void ingress_class_update(const Value& object, const Value& old, ErrorList& errors) {
  immutable(object["spec"]["controller"], old["spec"]["controller"], Path("spec") / "controller",
            errors);
}

}  // namespace knarr::api::rules
