#include "cli/kubectl/describe_text.h"

#include <time.h>

#include <algorithm>
#include <vector>

#include "api/duration.h"
#include "api/quantity.h"
#include "base/format.h"
#include "base/time.h"
#include "cli/kubectl/json_text.h"
#include "cli/kubectl/jsonpath.h"
#include "cli/kubectl/tab_writer.h"
#include "cli/kubectl/three_way.h"

namespace knarr::kubectl {

namespace {

using json::Value;

// "lastTransitionTime" -> "Last Transition Time", "uid" -> "UID".
std::string words_of(std::string_view key) {
  std::string out;
  std::string word;
  auto end_word = [&] {
    std::string upper = word;
    for (char& c : upper) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    }
    bool acronym = upper == "API" || upper == "URL" || upper == "UID" || upper == "GUID";
    if (!word.empty() && !acronym) word[0] = upper[0];
    if (!out.empty()) out += ' ';
    out += acronym ? upper : word;
    word.clear();
  };
  for (char c : key) {
    bool upper = c >= 'A' && c <= 'Z';
    if (upper && !word.empty() && word.back() >= 'a' && word.back() <= 'z') end_word();
    word += c;
  }
  end_word();
  return out;
}

std::string event_age(const Value& event, int64_t now_us) {
  auto since = [now_us](std::string_view time) { return api::age(time, now_us); };
  std::string_view first = event["firstTimestamp"].as_string(event["eventTime"].as_string());
  const Value& series = event["series"];
  if (series.is_object()) {
    return fmt::format("{} (x{} over {})", since(series["lastObservedTime"].as_string()),
                       series["count"].as_int(), since(first));
  }
  if (event["count"].as_int() > 1) {
    return fmt::format("{} (x{} over {})", since(event["lastTimestamp"].as_string()),
                       event["count"].as_int(), since(first));
  }
  return since(first);
}

std::string describe_probe(const Value& probe) {
  std::string what = "unknown";
  std::string tail =
      fmt::format("delay={}s timeout={}s period={}s #success={} #failure={}",
                  probe["initialDelaySeconds"].as_int(), probe["timeoutSeconds"].as_int(1),
                  probe["periodSeconds"].as_int(10), probe["successThreshold"].as_int(1),
                  probe["failureThreshold"].as_int(3));
  if (const Value& get = probe["httpGet"]; get.is_object()) {
    what = fmt::format("http-get {}://{}:{}{}",
                       get["scheme"].as_string("HTTP") == "HTTPS" ? "https" : "http",
                       get["host"].as_string(), value_text(get["port"]), get["path"].as_string());
  } else if (const Value& tcp = probe["tcpSocket"]; tcp.is_object()) {
    what = fmt::format("tcp-socket {}:{}", tcp["host"].as_string(), value_text(tcp["port"]));
  } else if (const Value& exec = probe["exec"]; exec.is_object()) {
    what = "exec [";
    for (const Value& word : exec["command"].elements()) {
      if (what.back() != '[') what += ' ';
      what += word.as_string();
    }
    what += ']';
  } else if (const Value& grpc = probe["grpc"]; grpc.is_object()) {
    what = fmt::format("grpc <pod>:{} {}", grpc["port"].as_int(), grpc["service"].as_string());
  }
  return what + " " + tail;
}

std::string state_lines(std::string_view title, const Value& state, const std::string& in) {
  if (const Value& running = state["running"]; running.is_object()) {
    return fmt::format("{}{}:\tRunning\n{}  Started:\t{}\n", in, title, in,
                       describe_time(running["startedAt"].as_string()));
  }
  if (const Value& ended = state["terminated"]; ended.is_object()) {
    std::string out = fmt::format("{}{}:\tTerminated\n", in, title);
    if (ended["reason"].is_string()) {
      out += fmt::format("{}  Reason:\t{}\n", in, ended["reason"].as_string());
    }
    if (ended["message"].is_string()) {
      out += fmt::format("{}  Message:\t{}\n", in, ended["message"].as_string());
    }
    out += fmt::format("{}  Exit Code:\t{}\n", in, ended["exitCode"].as_int());
    if (ended["signal"].as_int() > 0) {
      out += fmt::format("{}  Signal:\t{}\n", in, ended["signal"].as_int());
    }
    return out + fmt::format("{}  Started:\t{}\n{}  Finished:\t{}\n", in,
                             describe_time(ended["startedAt"].as_string()), in,
                             describe_time(ended["finishedAt"].as_string()));
  }
  const Value& waiting = state["waiting"];
  std::string out = fmt::format("{}{}:\tWaiting\n", in, title);
  if (waiting["reason"].is_string()) {
    out += fmt::format("{}  Reason:\t{}\n", in, waiting["reason"].as_string());
  }
  return out;
}

// "limits.cpu" of the container's resources as a whole number, rounded up.
std::string resource_value(const Value& container, std::string_view resource) {
  size_t dot = resource.find('.');
  const Value& amount = container["resources"][resource.substr(0, dot)]
                                 [resource.substr(std::min(dot, resource.size() - 1) + 1)];
  auto quantity = api::Quantity::parse(value_text(amount));
  return quantity.ok() ? std::to_string(quantity->value()) : "";
}

std::string variable_line(const Value& variable, const Value& container, const std::string& in) {
  std::string name = variable["name"].text();
  const Value& from = variable["valueFrom"];
  if (!from.is_object()) {
    return fmt::format("{}  {}:\t{}\n", in, name, variable["value"].as_string());
  }
  if (const Value& field = from["fieldRef"]; field.is_object()) {
    return fmt::format("{}  {}:\t ({}:{})\n", in, name, field["apiVersion"].as_string("v1"),
                       field["fieldPath"].as_string());
  }
  if (const Value& field = from["resourceFieldRef"]; field.is_object()) {
    std::string resource = field["resource"].text();
    return fmt::format("{}  {}:\t{} ({})\n", in, name, resource_value(container, resource),
                       resource);
  }
  bool secret = from["secretKeyRef"].is_object();
  const Value& key = from[secret ? "secretKeyRef" : "configMapKeyRef"];
  return fmt::format("{}  {}:\t<set to the key '{}' {} '{}'>\tOptional: {}\n", in, name,
                     key["key"].as_string(), secret ? "in secret" : "of config map",
                     key["name"].as_string(), key["optional"].as_bool());
}

std::string list_lines(std::string_view title, const Value& list, const std::string& in) {
  if (list.empty()) return "";
  std::string out = fmt::format("{}{}:\n", in, title);
  for (const Value& word : list.elements()) {
    for (size_t at = 0; at <= word.as_string().size();) {
      size_t end = std::min(word.as_string().find('\n', at), word.as_string().size());
      out += fmt::format("{}  {}\n", in, word.as_string().substr(at, end - at));
      at = end + 1;
    }
  }
  return out;
}

std::string ports_text(const Value& ports, const char* key) {
  std::string out;
  for (const Value& port : ports.elements()) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{}/{}", port[key].as_int(), port["protocol"].as_string("TCP"));
  }
  return out.empty() ? "<none>" : out;
}

std::string mounts_lines(const Value& mounts, const std::string& in) {
  if (mounts.empty()) return in + "Mounts:\t<none>\n";
  std::string out = in + "Mounts:\n";
  std::vector<const Value*> sorted;
  for (const Value& mount : mounts.elements()) sorted.push_back(&mount);
  std::sort(sorted.begin(), sorted.end(), [](const Value* a, const Value* b) {
    return (*a)["mountPath"].as_string() < (*b)["mountPath"].as_string();
  });
  for (const Value* one : sorted) {
    const Value& mount = *one;
    std::string flags = mount["readOnly"].as_bool() ? "ro" : "rw";
    if (mount["subPath"].is_string()) {
      flags += fmt::format(",path=\"{}\"", mount["subPath"].as_string());
    }
    out += fmt::format("{}  {} from {} ({})\n", in, mount["mountPath"].as_string(),
                       mount["name"].as_string(), flags);
  }
  return out;
}

std::string container_lines(const Value& container, const Value& status, const std::string& in) {
  std::string out;
  if (status.is_object())
    out += fmt::format("{}Container ID:\t{}\n", in, status["containerID"].as_string());
  out += fmt::format("{}Image:\t{}\n", in, container["image"].as_string());
  if (status.is_object())
    out += fmt::format("{}Image ID:\t{}\n", in, status["imageID"].as_string());
  const char* plural = container["ports"].size() > 1 ? "s" : "";
  out += fmt::format("{}Port{}:\t{}\n{}Host Port{}:\t{}\n", in, plural,
                     ports_text(container["ports"], "containerPort"), in, plural,
                     ports_text(container["ports"], "hostPort"));
  out += list_lines("Command", container["command"], in);
  out += list_lines("Args", container["args"], in);
  if (status.is_object()) {
    out += state_lines("State", status["state"], in);
    if (status["lastState"]["terminated"].is_object()) {
      out += state_lines("Last State", status["lastState"], in);
    }
    out += fmt::format("{}Ready:\t{}\n{}Restart Count:\t{}\n", in,
                       status["ready"].as_bool() ? "True" : "False", in,
                       status["restartCount"].as_int());
  }
  for (const char* kind : {"limits", "requests"}) {
    const Value& amounts = container["resources"][kind];
    if (amounts.empty()) continue;
    out += fmt::format("{}{}:\n", in, kind[0] == 'l' ? "Limits" : "Requests");
    for (const json::Member& amount : sorted_members(amounts)) {
      out += fmt::format("{}  {}:\t{}\n", in, amount.key, value_text(amount.value));
    }
  }
  for (auto [key, title] :
       {std::pair("livenessProbe", "Liveness"), std::pair("readinessProbe", "Readiness"),
        std::pair("startupProbe", "Startup")}) {
    if (!container[key].is_object()) continue;
    out += fmt::format("{}{}:\t{}\n", in, title, describe_probe(container[key]));
  }
  if (!container["envFrom"].empty()) {
    out += in + "Environment Variables from:\n";
    for (const Value& from : container["envFrom"].elements()) {
      bool secret = from["secretRef"].is_object();
      const Value& source = from[secret ? "secretRef" : "configMapRef"];
      out += fmt::format("{}  {}\t{}\tOptional: {}\n", in, source["name"].as_string(),
                         secret ? "Secret" : "ConfigMap", source["optional"].as_bool());
    }
  }
  out += in + (container["env"].empty() ? "Environment:\t<none>\n" : "Environment:\n");
  for (const Value& variable : container["env"].elements())
    out += variable_line(variable, container, in);
  return out + mounts_lines(container["volumeMounts"], in);
}

}  // namespace

std::string describe_map(std::string_view title, const Value& map, std::string_view separator,
                         std::string_view indent) {
  std::string out = fmt::format("{}{}:\t", indent, title);
  bool first = true;
  for (const json::Member& member : sorted_members(map)) {
    if (member.key == kLastApplied) continue;
    if (!first) out += fmt::format("{}\t", indent);
    first = false;
    std::string text = value_text(member.value);
    std::replace(text.begin(), text.end(), '\n', ' ');
    out += fmt::format("{}{}{}\n", member.key, separator, text);
  }
  return first ? out + "<none>\n" : out;
}

std::string describe_time(std::string_view rfc3339) {
  if (rfc3339.empty()) return "<unset>";
  auto us = base::parse_time(rfc3339);
  if (!us.ok()) return std::string(rfc3339);
  time_t seconds = *us / 1000000;
  tm local{};
  localtime_r(&seconds, &local);
  char text[64];
  size_t size = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S %z", &local);
  return {text, size};
}

std::string describe_metadata(const Value& object, bool times) {
  const Value& metadata = object["metadata"];
  std::string out = fmt::format("Name:\t{}\n", metadata["name"].as_string());
  if (metadata["namespace"].is_string()) {
    out += fmt::format("Namespace:\t{}\n", metadata["namespace"].as_string());
  }
  if (times) {
    out += fmt::format("CreationTimestamp:\t{}\n",
                       describe_time(metadata["creationTimestamp"].as_string()));
  }
  out += describe_map("Labels", metadata["labels"], "=");
  return out + describe_map("Annotations", metadata["annotations"], ": ");
}

std::string describe_containers(std::string_view title, const Value& containers,
                                const Value& statuses, std::string_view indent) {
  std::string in(indent);
  std::string out = fmt::format("{}{}:{}\n", in, title, containers.empty() ? " <none>" : "");
  for (const Value& container : containers.elements()) {
    const Value* status = nullptr;
    for (const Value& one : statuses.elements()) {
      if (one["name"] == container["name"]) status = &one;
    }
    // Those of a template stand one column further left.
    out += fmt::format("{}{}{}:\n", in, in.empty() ? "  " : " ", container["name"].as_string());
    out += container_lines(container, status != nullptr ? *status : Value(),
                           in.empty() ? "    " : in + "  ");
  }
  return out;
}

std::string describe_volumes(const Value& volumes, std::string_view indent) {
  std::string in(indent);
  if (volumes.empty()) return in + "Volumes:\t<none>\n";
  std::string out = in + "Volumes:\n";
  for (const Value& volume : volumes.elements()) {
    out += fmt::format("{}  {}:\n", in, volume["name"].as_string());
    std::string deep = in + "    ";
    if (const Value& map = volume["configMap"]; map.is_object()) {
      out += fmt::format(
          "{}Type:\tConfigMap (a volume populated by a ConfigMap)\n{}Name:\t{}\n"
          "{}Optional:\t{}\n",
          deep, deep, map["name"].as_string(), deep, map["optional"].as_bool());
    } else if (const Value& secret = volume["secret"]; secret.is_object()) {
      out += fmt::format(
          "{}Type:\tSecret (a volume populated by a Secret)\n{}SecretName:\t{}\n"
          "{}Optional:\t{}\n",
          deep, deep, secret["secretName"].as_string(), deep, secret["optional"].as_bool());
    } else if (const Value& empty = volume["emptyDir"]; empty.is_object()) {
      out += fmt::format(
          "{}Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)\n"
          "{}Medium:\t{}\n{}SizeLimit:\t{}\n",
          deep, deep, empty["medium"].as_string(), deep, empty["sizeLimit"].as_string("<unset>"));
    } else if (const Value& host = volume["hostPath"]; host.is_object()) {
      out += fmt::format(
          "{}Type:\tHostPath (bare host directory volume)\n{}Path:\t{}\n"
          "{}HostPathType:\t{}\n",
          deep, deep, host["path"].as_string(), deep, host["type"].as_string());
    } else if (const Value& claim = volume["persistentVolumeClaim"]; claim.is_object()) {
      out += fmt::format(
          "{}Type:\tPersistentVolumeClaim (a reference to a PersistentVolumeClaim in "
          "the same namespace)\n{}ClaimName:\t{}\n{}ReadOnly:\t{}\n",
          deep, deep, claim["claimName"].as_string(), deep, claim["readOnly"].as_bool());
    } else if (const Value& projected = volume["projected"]; projected.is_object()) {
      out +=
          deep + "Type:\tProjected (a volume that contains injected data from multiple sources)\n";
      for (const Value& source : projected["sources"].elements()) {
        if (const Value& token = source["serviceAccountToken"]; token.is_object()) {
          out += fmt::format("{}TokenExpirationSeconds:\t{}\n", deep,
                             token["expirationSeconds"].as_int());
        } else if (const Value& config = source["configMap"]; config.is_object()) {
          const Value& optional = config["optional"];
          out += fmt::format("{}ConfigMapName:\t{}\n{}ConfigMapOptional:\t{}\n", deep,
                             config["name"].as_string(), deep,
                             optional.is_null() ? "<nil>" : value_text(optional));
        } else if (const Value& hidden = source["secret"]; hidden.is_object()) {
          out += fmt::format("{}SecretName:\t{}\n{}Optional:\t{}\n", deep,
                             hidden["name"].as_string(), deep, hidden["optional"].as_bool());
        } else if (source["downwardAPI"].is_object()) {
          out += deep + "DownwardAPI:\ttrue\n";
        }
      }
    } else {
      for (auto [key, value] : volume.members()) {
        if (key != "name") out += fmt::format("{}Type:\t{}\n", deep, words_of(key));
      }
    }
  }
  return out;
}

std::string describe_tolerations(const Value& tolerations, std::string_view indent) {
  std::string out = fmt::format("{}Tolerations:\t", indent);
  if (tolerations.empty()) return out + "<none>\n";
  bool first = true;
  for (const Value& toleration : tolerations.elements()) {
    if (!first) out += fmt::format("{}\t", indent);
    first = false;
    out += toleration["key"].as_string();
    if (toleration["value"].is_string()) out += fmt::format("={}", toleration["value"].as_string());
    if (toleration["effect"].is_string()) {
      out += fmt::format(":{}", toleration["effect"].as_string());
    }
    if (toleration["operator"].as_string() == "Exists") out += " op=Exists";
    if (toleration["tolerationSeconds"].is_integer()) {
      out += fmt::format(" for {}s", toleration["tolerationSeconds"].as_int());
    }
    out += '\n';
  }
  return out;
}

std::string pod_template_lines(const Value& pod_template) {
  const Value& spec = pod_template["spec"];
  const Value& metadata = pod_template["metadata"];
  std::string out = "Pod Template:\n";
  out += describe_map("Labels", metadata["labels"], "=", "  ");
  if (!metadata["annotations"].empty()) {
    out += describe_map("Annotations", metadata["annotations"], ": ", "  ");
  }
  if (spec["serviceAccountName"].is_string()) {
    out += fmt::format("  Service Account:\t{}\n", spec["serviceAccountName"].as_string());
  }
  if (!spec["initContainers"].empty()) {
    out += describe_containers("Init Containers", spec["initContainers"], {}, "  ");
  }
  out += describe_containers("Containers", spec["containers"], {}, "  ");
  out += describe_volumes(spec["volumes"], "  ");
  if (spec["priorityClassName"].is_string()) {
    out += fmt::format("  Priority Class Name:\t{}\n", spec["priorityClassName"].as_string());
  }
  out += describe_map("Node-Selectors", spec["nodeSelector"], "=", "  ");
  return out + describe_tolerations(spec["tolerations"], "  ");
}

std::string describe_events(const Value& events, int64_t now_us) {
  if (events.empty()) return "Events:\t<none>\n";
  std::string out =
      "Events:\n  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------\n";
  std::vector<const Value*> sorted;
  for (const Value& event : events.elements()) sorted.push_back(&event);
  auto when = [](const Value& event) {
    return event["lastTimestamp"].as_string(event["eventTime"].as_string());
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Value* a, const Value* b) { return when(*a) < when(*b); });
  for (const Value* event : sorted) {
    std::string source = (*event)["source"]["component"].text();
    if (source.empty()) source = (*event)["reportingComponent"].text();
    std::string message = (*event)["message"].text();
    std::replace(message.begin(), message.end(), '\n', ' ');
    out += fmt::format("  {}\t{}\t{}\t{}\t{}\n", (*event)["type"].as_string(),
                       (*event)["reason"].as_string(), event_age(*event, now_us), source, message);
  }
  return out;
}

std::string describe_tree(const Value& value, int level) {
  std::string in(static_cast<size_t>(level) * 2, ' ');
  std::string out;
  for (const json::Member& member : sorted_members(value)) {
    std::string key = words_of(member.key);
    if (member.value.is_object()) {
      out += fmt::format("{}{}:\n", in, key) + describe_tree(member.value, level + 1);
    } else if (member.value.is_array()) {
      out += fmt::format("{}{}:\n", in, key);
      for (const Value& element : member.value.elements()) {
        out += element.is_object() ? describe_tree(element, level + 1)
                                   : fmt::format("{}  {}\n", in, value_text(element));
      }
    } else {
      out += fmt::format("{}{}:\t{}\n", in, key, value_text(member.value));
    }
  }
  return out;
}

std::string describe_any(const Value& object) {
  std::string out = describe_metadata(object, false);
  Value rest = Value::object();
  for (auto [key, value] : object.members()) {
    if (key != "metadata") rest.set(key, value);
  }
  const Value& metadata = object["metadata"];
  Value shown = Value::object();
  for (auto [key, value] : metadata.members()) {
    bool told = key == "name" || key == "namespace" || key == "labels" || key == "annotations" ||
                key == "managedFields";
    if (!told) shown.set(key, value);
  }
  rest.set("metadata", std::move(shown));
  return out + describe_tree(rest, 0);
}

}  // namespace knarr::kubectl
