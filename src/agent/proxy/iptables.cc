#include "agent/proxy/iptables.h"

#include <algorithm>

#include "agent/proxy/process.h"
#include "base/format.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

constexpr int64_t kFirstRetryMs = 500;
constexpr int64_t kLastRetryMs = 30'000;

Result<std::string> run(const std::string& program, std::vector<std::string> args,
                        std::string_view input) {
  std::string path = find_program(program);
  if (path.empty()) return make_error(Code::kNotFound, program + " is not in PATH");
  args.insert(args.begin(), path);
  TRY_ASSIGN(ProcessResult result, run_process(args, input));
  if (result.exit_code != 0) {
    while (!result.err.empty() && result.err.back() == '\n') result.err.pop_back();
    return make_error(Code::kInternalError,
                      fmt::format("{}: exit code {}: {}", program, result.exit_code, result.err));
  }
  return std::move(result.out);
}

Result<KernelRules> read_kernel(const std::string& prefix) {
  TRY_ASSIGN(std::string saved, run("iptables-save", {}, {}));
  return read_saved(saved, prefix);
}

// The lock of iptables-legacy is waited for; iptables-nft needs none.
Result<void> restore(const std::string& text) {
  auto result = run("iptables-restore", {"-w", "5", "--noflush"}, text);
  if (!result.ok()) return result.error();
  return {};
}

// The mark is taken off, so that a packet which meets POSTROUTING again (IPsec) is not masqueraded
// twice.
RuleSet base_rules(const std::string& prefix, const std::string& mark, const std::string& bit) {
  RuleSet rules;
  rules.rule("nat", prefix + "-MARK-MASQ", "-j MARK --set-xmark " + mark);
  std::string chain = prefix + "-POSTROUTING";
  rules.rule("nat", chain, fmt::format("-m mark ! --mark {} -j RETURN", mark));
  rules.rule("nat", chain, fmt::format("-j MARK --xor-mark {}", bit));
  rules.rule("nat", chain, "-j MASQUERADE --random-fully");
  rules.jump("nat", "POSTROUTING", comment("knarr masquerading") + " -j " + chain);
  return rules;
}

}  // namespace

Iptables::Iptables(base::Loop& loop, IptablesOptions options)
    : loop_(loop), options_(std::move(options)), worker_(loop), retry_(loop.timer([this] {
        state_ = State::kIdle;
        step();
      })) {
  parts_[RulePart::kBase] = base_rules(options_.prefix, masquerade_mark(),
                                       fmt::format("{:#x}", 1U << options_.masquerade_bit));
}

Iptables::~Iptables() = default;

std::string Iptables::masquerade_mark() const {
  return fmt::format("{0:#x}/{0:#x}", 1U << options_.masquerade_bit);
}

void Iptables::set(RulePart part, RuleSet rules, Done done) {
  parts_[part] = std::move(rules);
  if (done) waiting_.push_back(std::move(done));
  if (changed_) return;  // and so a step is to come
  changed_ = true;
  loop_.defer([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) step();
  });
}

RuleSet Iptables::desired() const {
  RuleSet all;
  for (const auto& [part, rules] : parts_) all.add(rules);
  return all;
}

void Iptables::step() {
  if (state_ != State::kIdle || !changed_) return;
  if (known_) {
    apply();
  } else {
    read();
  }
}

void Iptables::read() {
  state_ = State::kReading;
  worker_.run<KernelRules>([prefix = options_.prefix] { return read_kernel(prefix); },
                           [this](Result<KernelRules> result) {
                             if (!result.ok()) return failed(result.error());
                             kernel_ = *std::move(result);
                             known_ = true;
                             state_ = State::kIdle;
                             step();
                           });
}

void Iptables::apply() {
  bool keep_unknown = !std::all_of(options_.expected.begin(), options_.expected.end(),
                                   [this](RulePart part) { return parts_.count(part) > 0; });
  RuleSet rules = desired();
  std::string text = transaction(rules, kernel_, keep_unknown);
  KernelRules after = after_transaction(rules, kernel_, keep_unknown);
  std::vector<Done> told = std::exchange(waiting_, {});
  changed_ = false;
  if (text.empty()) {
    for (const Done& done : told) done({});
    return;
  }
  state_ = State::kApplying;
  auto done = [this, told = std::move(told), after = std::move(after)](Result<void> result) {
    if (result.ok()) {
      kernel_ = after;
      retry_ms_ = 0;
      state_ = State::kIdle;
      loop_.defer([this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired()) step();
      });
    } else {
      failed(result.error());
    }
    for (const Done& fn : told) fn(result);
  };
  worker_.run<void>([text = std::move(text)] { return restore(text); }, std::move(done));
}

void Iptables::failed(const Error& error) {
  retry_ms_ = std::clamp(retry_ms_ * 2, kFirstRetryMs, kLastRetryMs);
  base::log(base::Level::kWarning, "proxy", "iptables rules are not in place, again in {} ms: {}",
            retry_ms_, error.message);
  known_ = false;
  changed_ = true;
  state_ = State::kWaiting;
  for (const Done& done : std::exchange(waiting_, {})) done(error);
  retry_->start(retry_ms_);
}

Result<void> remove_rules(const std::string& prefix) {
  TRY_ASSIGN(KernelRules kernel, read_kernel(prefix));
  std::string text = transaction({}, kernel, false);
  if (text.empty()) return {};
  return restore(text);
}

}  // namespace knarr::agent
