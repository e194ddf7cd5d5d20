#include "agent/cni/attachment_files.h"

#include <sys/stat.h>

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

Result<CniRecord> read_record(const Value& value) {
  CniRecord record;
  TRY_ASSIGN(record.config, parse_cni_config(json::write(value["config"]), CniForm::kList));
  record.attachment = {value["containerId"].text(), value["netns"].text(), value["ifName"].text(),
                       value["cniArgs"].text(), value["capabilityArgs"]};
  record.netns_id = value["netnsId"].text();
  record.result = value["result"];
  if (record.attachment.sandbox_id.empty()) {
    return make_error(Code::kInvalid, "an attachment without its sandbox");
  }
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
    auto read = [&]() -> Result<CniRecord> {
      TRY_ASSIGN(std::string text, base::read_file(entry.path()));
      TRY_ASSIGN(Value value, json::parse(text));
      return read_record(value);
    };
    auto record = read();
    if (record.ok()) {
      std::string sandbox = record->attachment.sandbox_id;
      records.emplace(std::move(sandbox), *std::move(record));
      continue;
    }
    base::log(base::Level::kWarning, "cni", "{}: {}", entry.path().string(),
              record.error().message);
    std::filesystem::remove(entry.path(), ignored);
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
