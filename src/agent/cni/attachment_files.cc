#include "agent/cni/attachment_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"

namespace knarr::agent {

using json::Value;

std::string netns_identity(const std::string& path) {
  struct stat info {};
  if (path.empty() || stat(path.c_str(), &info) != 0) return {};
  return fmt::format("{}:{}", info.st_dev, info.st_ino);
}

Value write_record(const CniRecord& record) {
  const CniAttachment& a = record.attachment;
  return Value::object({{"config", cni_config_list(record.config)},
                        {"containerId", a.sandbox_id},
                        {"netns", a.netns},
                        {"netnsId", record.netns_id},
                        {"ifName", a.interface},
                        {"cniArgs", a.args},
                        {"capabilityArgs", a.capabilities},
                        {"result", record.result}});
}

CniRecord record_without_config(const Value& value) {
  CniRecord record;
  record.attachment = {value["containerId"].text(), value["netns"].text(), value["ifName"].text(),
                       value["cniArgs"].text(), value["capabilityArgs"]};
  record.netns_id = value["netnsId"].text();
  record.result = value["result"];
  return record;
}

Result<CniRecord> read_record(const Value& value) {
  CniRecord record = record_without_config(value);
  TRY_ASSIGN(record.config, parse_cni_config(json::write(value["config"]), CniForm::kList));
  if (record.attachment.sandbox_id.empty()) {
    return make_error(Code::kInvalid, "an attachment without its sandbox");
  }
  return record;
}

// As the specification has it.
bool is_container_id(std::string_view name) {
  auto is_one_of = [](unsigned char c, const char* others) {
    return isalnum(c) != 0 || (c != 0 && strchr(others, c) != nullptr);
  };
  return !name.empty() && is_one_of(static_cast<unsigned char>(name[0]), "") &&
         std::all_of(name.begin(), name.end(),
                     [&](unsigned char c) { return is_one_of(c, "_.-"); });
}

// What is left of a file that can't be read as a record.
CniRecord remains_of(const std::string& text, const std::string& sandbox_id) {
  auto value = json::parse(text);
  CniRecord record = record_without_config(value.ok() ? *value : Value());
  record.attachment.sandbox_id = sandbox_id;
  if (record.attachment.interface.empty()) record.attachment.interface = "eth0";
  return record;
}

std::map<std::string, CniRecord> AttachmentFiles::load() const {
  std::map<std::string, CniRecord> records;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, failed)) {
    std::error_code ignored;
    if (entry.path().extension() == ".new") {  // half written when the machine stopped
      std::filesystem::remove(entry.path(), ignored);
      continue;
    }
    std::string name = entry.path().filename(), text;
    auto read = [&]() -> Result<CniRecord> {
      TRY_ASSIGN(text, base::read_file(entry.path()));
      TRY_ASSIGN(Value value, json::parse(text));
      TRY_ASSIGN(CniRecord record, read_record(value));
      if (record.attachment.sandbox_id == name) return record;
      return make_error(Code::kInvalid, "the attachment of another sandbox");
    };
    auto record = read();
    if (record.ok()) {
      records.emplace(std::move(name), *std::move(record));
      continue;
    }
    base::log(base::Level::kWarning, "cni", "{}: {}", entry.path().string(),
              record.error().message);
    if (is_container_id(name)) records.emplace(name, remains_of(text, name));
  }
  return records;
}

Result<void> AttachmentFiles::keep(const CniRecord& record) const {
  TRY(base::make_dirs(folder_, 0700));
  return base::write_file(folder_ + "/" + record.attachment.sandbox_id,
                          json::write(write_record(record)), 0600);
}

void AttachmentFiles::forget(const std::string& sandbox_id) const {
  std::error_code ignored;
  std::filesystem::remove(folder_ + "/" + sandbox_id, ignored);
}

}  // namespace knarr::agent
