#include "runtime/image/image.h"

#include <algorithm>

#include "base/format.h"
#include "runtime/image/digest.h"

namespace knarr::runtime {

namespace {

// An array of strings; a lone string counts as one.
std::vector<std::string> texts(const json::Value& value) {
  std::vector<std::string> out;
  if (value.is_string()) out.push_back(value.text());
  for (const json::Value& element : value.elements()) out.push_back(element.text());
  return out;
}

std::vector<std::string> keys(const json::Value& value) {
  std::vector<std::string> out;
  for (const auto& [key, ignored] : value.members()) out.emplace_back(key);
  std::sort(out.begin(), out.end());
  return out;
}

json::Value array_of(const std::vector<std::string>& list) {
  json::Value out = json::Value::array();
  for (const std::string& text : list) out.push_back(text);
  return out;
}

}  // namespace

ImageSpec Image::spec() const { return {id, tags, digests, size_bytes, config.user}; }

Result<Image> image_from_config(std::string_view config_json, std::vector<ImageLayer> layers) {
  TRY_ASSIGN(json::Value value, json::parse(config_json));
  const json::Value& diff_ids = value["rootfs"]["diff_ids"];
  if (diff_ids.size() != layers.size()) {
    return make_error(Code::kInvalid,
                      fmt::format("mismatched image rootfs and manifest layers: {} and {}",
                                  diff_ids.size(), layers.size()));
  }
  Image image;
  image.id = digest_of(config_json);
  image.size_bytes = static_cast<int64_t>(config_json.size());
  std::string chain;
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].diff_id = diff_ids[i].text();
    if (!is_digest(layers[i].diff_id)) {
      return make_error(Code::kInvalid, "invalid diff id \"" + layers[i].diff_id + "\"");
    }
    chain = chain_id(chain, layers[i].diff_id);
    layers[i].chain_id = chain;
    image.size_bytes += layers[i].size_bytes;
  }
  image.layers = std::move(layers);
  const json::Value& config = value["config"];
  ImageConfig& out = image.config;
  out.user = config["User"].text();
  out.env = texts(config["Env"]);
  out.entrypoint = texts(config["Entrypoint"]);
  out.command = texts(config["Cmd"]);
  out.working_dir = config["WorkingDir"].text();
  out.volumes = keys(config["Volumes"]);
  out.exposed_ports = keys(config["ExposedPorts"]);
  out.stop_signal = config["StopSignal"].text();
  for (const auto& [key, text] : config["Labels"].members()) out.labels.emplace(key, text.text());
  out.os = value["os"].text();
  out.architecture = value["architecture"].text();
  return image;
}

json::Value image_to_json(const Image& image) {
  const ImageConfig& c = image.config;
  json::Value labels = json::Value::object();
  for (const auto& [key, value] : c.labels) labels.set(key, value);
  json::Value layers = json::Value::array();
  for (const ImageLayer& layer : image.layers) {
    layers.push_back(json::Value::object({{"digest", layer.digest},
                                          {"diffID", layer.diff_id},
                                          {"chainID", layer.chain_id},
                                          {"size", layer.size_bytes}}));
  }
  json::Value config = json::Value::object({{"user", c.user},
                                            {"env", array_of(c.env)},
                                            {"entrypoint", array_of(c.entrypoint)},
                                            {"command", array_of(c.command)},
                                            {"workingDir", c.working_dir},
                                            {"volumes", array_of(c.volumes)},
                                            {"exposedPorts", array_of(c.exposed_ports)},
                                            {"stopSignal", c.stop_signal},
                                            {"labels", std::move(labels)},
                                            {"os", c.os},
                                            {"architecture", c.architecture}});
  return json::Value::object({{"id", image.id},
                              {"manifest", image.manifest_digest},
                              {"tags", array_of(image.tags)},
                              {"digests", array_of(image.digests)},
                              {"size", image.size_bytes},
                              {"config", std::move(config)},
                              {"layers", std::move(layers)}});
}

Result<Image> image_from_json(const json::Value& value) {
  Image image;
  image.id = value["id"].text();
  image.manifest_digest = value["manifest"].text();
  if (!is_digest(image.id) || !is_digest(image.manifest_digest)) {
    return make_error(Code::kInvalid, "image record without an id");
  }
  image.tags = texts(value["tags"]);
  image.digests = texts(value["digests"]);
  image.size_bytes = value["size"].as_int();
  const json::Value& config = value["config"];
  ImageConfig& out = image.config;
  out.user = config["user"].text();
  out.env = texts(config["env"]);
  out.entrypoint = texts(config["entrypoint"]);
  out.command = texts(config["command"]);
  out.working_dir = config["workingDir"].text();
  out.volumes = texts(config["volumes"]);
  out.exposed_ports = texts(config["exposedPorts"]);
  out.stop_signal = config["stopSignal"].text();
  for (const auto& [key, text] : config["labels"].members()) out.labels.emplace(key, text.text());
  out.os = config["os"].text();
  out.architecture = config["architecture"].text();
  for (const json::Value& layer : value["layers"].elements()) {
    image.layers.push_back({layer["digest"].text(), layer["diffID"].text(), layer["chainID"].text(),
                            layer["size"].as_int()});
    const ImageLayer& last = image.layers.back();
    if (!is_digest(last.digest) || !is_digest(last.diff_id) || !is_digest(last.chain_id)) {
      return make_error(Code::kInvalid, "image record of " + image.id + " names no layer");
    }
  }
  return image;
}

}  // namespace knarr::runtime
