#include "agent/cni/plugin_chain.h"

#include <sys/stat.h>

#include <optional>

#include "base/format.h"

namespace knarr::agent {

using json::Value;

Result<std::string> find_plugin(const std::string& type, const std::vector<std::string>& bin_dirs) {
  std::string searched;
  for (const std::string& dir : bin_dirs) {
    std::string path = dir + "/" + type;
    struct stat info {};
    if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return path;
    searched += (searched.empty() ? "" : " ") + dir;
  }
  return make_error(Code::kNotFound,
                    fmt::format("failed to find plugin \"{}\" in path [{}]", type, searched));
}

const char* verb_of(CniCommand command) {
  switch (command) {
    case CniCommand::kAdd: return "add";
    case CniCommand::kDel: return "delete";
    case CniCommand::kStatus: return "status";
    case CniCommand::kGc: return "gc";
  }
  return "";
}

// One command under way.
class PluginChains::Chain {
 public:
  Chain(PluginChains& owner, const CniConfig& config, const CniAttachment& attachment,
        CniCommand command, Value result)
      : owner_(owner),
        config_(config),
        attachment_(attachment),
        command_(command),
        result_(std::move(result)) {}

  Callback<Value> done;

  void step() {
    if (at_ == config_.plugins.size()) {
      return end(failed_ ? Result<Value>(*failed_) : Result<Value>(result_));
    }
    const CniPlugin& plugin = config_.plugins[index()];
    auto path = find_plugin(plugin.type, owner_.options_.bin_dirs);
    if (!path.ok()) return fail(path.error().message);
    PluginCall call{
        *std::move(path), cni_environment(command_, attachment_, owner_.options_.bin_dirs),
        cni_input(config_, index(), command_, attachment_, result_), owner_.options_.timeout_ms};
    process_ = std::make_unique<PluginProcess>(owner_.loop_, std::move(call),
                                               [this](PluginOutput output) { answered(output); });
  }

 private:
  size_t index() const {
    return command_ == CniCommand::kDel ? config_.plugins.size() - 1 - at_ : at_;
  }

  void answered(const PluginOutput& output) {
    if (!output.ok) return fail(cni_failure(output.output, output.diagnostics, output.ending));
    if (command_ == CniCommand::kAdd) {
      auto result = parse_cni_result(output.output, config_);
      if (!result.ok()) return fail(result.error().message);
      result_ = *std::move(result);
    }
    at_++;
    step();
  }

  void fail(const std::string& why) {
    const CniPlugin& plugin = config_.plugins[index()];
    std::string name = plugin.conf["name"].text();
    if (!name.empty()) name = fmt::format(" name=\"{}\"", name);
    Error error =
        make_error(Code::kInternalError, fmt::format("plugin type=\"{}\"{} failed ({}): {}",
                                                     plugin.type, name, verb_of(command_), why));
    if (command_ != CniCommand::kGc) return end(std::move(error));
    if (!failed_) failed_ = std::move(error);
    at_++;
    step();
  }

  void end(Result<Value> result) {
    auto answer = std::move(done);
    auto keep = std::move(owner_.running_[this]);
    owner_.running_.erase(this);
    answer(std::move(result));
  }

  PluginChains& owner_;
  CniConfig config_;
  CniAttachment attachment_;
  CniCommand command_;
  Value result_;
  size_t at_ = 0;
  std::optional<Error> failed_;
  std::unique_ptr<PluginProcess> process_;
};

PluginChains::PluginChains(base::Loop& loop, Options options)
    : loop_(loop), options_(std::move(options)) {}

PluginChains::~PluginChains() = default;

void PluginChains::start(std::shared_ptr<Chain> chain) {
  running_[chain.get()] = chain;
  chain->step();
}

void PluginChains::add(const CniConfig& config, const CniAttachment& attachment,
                       Callback<Value> done) {
  auto chain = std::make_shared<Chain>(*this, config, attachment, CniCommand::kAdd, Value());
  chain->done = std::move(done);
  start(std::move(chain));
}

void PluginChains::run(const CniConfig& config, const CniAttachment& attachment, CniCommand command,
                       Value value, Callback<void> done) {
  auto chain = std::make_shared<Chain>(*this, config, attachment, command, std::move(value));
  chain->done = [done = std::move(done)](const Result<Value>& ended) {
    done(ended.ok() ? Result<void>() : Result<void>(ended.error()));
  };
  start(std::move(chain));
}

void PluginChains::del(const CniConfig& config, const CniAttachment& attachment, Value result,
                       Callback<void> done) {
  run(config, attachment, CniCommand::kDel, std::move(result), std::move(done));
}

void PluginChains::status(const CniConfig& config, Callback<void> done) {
  run(config, {}, CniCommand::kStatus, Value(), std::move(done));
}

void PluginChains::gc(const CniConfig& config, Value attachments, Callback<void> done) {
  run(config, {}, CniCommand::kGc, std::move(attachments), std::move(done));
}

}  // namespace knarr::agent
