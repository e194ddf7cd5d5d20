#include "agent/proxy/iptables.h"

#include <algorithm>

#include "base/format.h"
#include "base/log.h"
#include "base/run_process.h"

namespace knarr::agent {

namespace {

constexpr int64_t kFirstRetryMs = 500;
constexpr int64_t kLastRetryMs = 30'000;
// After rules of ours were removed: whoever does it may be in the middle of more; and two that
// remove each other's rules must not take the machine.
constexpr int64_t kFirstRelookMs = 100;
constexpr int64_t kLastRelookMs = 30'000;
constexpr int64_t kCalmMs = 60'000;
// How long what was read of iptables-legacy is believed.
constexpr int64_t kBelievedMs = 30'000;
constexpr size_t kOwnProcesses = 4;

Result<base::ProcessResult> run(const std::string& program, std::vector<std::string> args,
                                std::string_view input) {
  std::string path = base::find_program(program);
  if (path.empty()) return make_error(Code::kNotFound, program + " is not in PATH");
  args.insert(args.begin(), path);
  TRY_ASSIGN(base::ProcessResult result, base::run_process(args, input));
  if (result.exit_code != 0) {
    while (!result.err.empty() && result.err.back() == '\n') result.err.pop_back();
    return make_error(Code::kInternalError,
                      fmt::format("{}: exit code {}: {}", program, result.exit_code, result.err));
  }
  return result;
}

// "iptables-save", "ip6tables-save"
std::string program(bool v6, const char* verb) {
  return fmt::format("{}-{}", v6 ? "ip6tables" : "iptables", verb);
}

Result<KernelRules> read_kernel(const std::string& prefix, bool v6) {
  TRY_ASSIGN(base::ProcessResult saved, run(program(v6, "save"), {}, {}));
  return read_saved(saved.out, prefix);
}

// Whether the kernel tells of changes: iptables-legacy keeps its rules elsewhere.
bool uses_nftables(bool v6) {
  auto version = run(program(v6, "restore"), {"-V"}, {});
  return version.ok() && version->out.find("nf_tables") != std::string::npos;
}

// The lock of iptables-legacy is waited for; iptables-nft needs none. Answers who did it.
Result<int> restore(const std::string& text, bool v6) {
  TRY_ASSIGN(base::ProcessResult result,
             run(program(v6, "restore"), {"-w", "5", "--noflush"}, text));
  return result.pid;
}

// Table nat cannot refuse: it marks, and these come first of all that filters. The mark is three
// bits together, since others use some of them for sockets of their own. A reset, unlike a message
// of ICMP, is never too frequent, and heard even while connect(2) is about to send.
void add_refusals(const IptablesOptions& options, RuleSet& rules) {
  const std::string& prefix = options.prefix;
  uint32_t silent = 1U << options.masquerade_bit;
  uint32_t refused = 1U << options.refusal_bit | 1U << options.policy_bit;
  auto mark = [mask = refused | silent](uint32_t bits) {
    return fmt::format("{:#x}/{:#x}", bits, mask);
  };
  std::string chain = prefix + "-REFUSED";
  for (auto [name, bits] : {std::pair("-REJECT", refused), std::pair("-DROP", refused | silent)}) {
    rules.rule("nat", prefix + name, "-j MARK --set-xmark " + mark(bits));
    rules.rule("nat", prefix + name, "-j ACCEPT");
  }
  rules.rule("filter", chain, fmt::format("-m mark --mark {} -j DROP", mark(refused | silent)));
  rules.rule("filter", chain, fmt::format("-m mark ! --mark {} -j RETURN", mark(refused)));
  rules.rule("filter", chain, "-p tcp -j REJECT --reject-with tcp-reset");
  rules.rule("filter", chain, "-j REJECT");
  for (const char* hook : {"INPUT", "FORWARD", "OUTPUT"}) {
    rules.jump("filter", hook,
               "-m conntrack --ctstate NEW " + comment("knarr refusals") + " -j " + chain);
  }
}

// The mark is taken off, so that a packet which meets POSTROUTING again (IPsec) is not masqueraded
// twice.
RuleSet base_rules(const IptablesOptions& options, const std::string& mark) {
  const std::string& prefix = options.prefix;
  RuleSet rules;
  rules.rule("nat", prefix + "-MARK-MASQ", "-j MARK --set-xmark " + mark);
  std::string chain = prefix + "-POSTROUTING";
  rules.rule("nat", chain, fmt::format("-m mark ! --mark {} -j RETURN", mark));
  rules.rule("nat", chain, fmt::format("-j MARK --xor-mark {:#x}", 1U << options.masquerade_bit));
  rules.rule("nat", chain, "-j MASQUERADE --random-fully");
  rules.jump("nat", "POSTROUTING", comment("knarr masquerading") + " -j " + chain);
  add_refusals(options, rules);
  return rules;
}

}  // namespace

Iptables::Iptables(base::Loop& loop, IptablesOptions options)
    : loop_(loop),
      options_(std::move(options)),
      worker_(loop),
      monitor_(loop, options_.prefix, options_.v6, [this](uint32_t port) { removed_by(port); }),
      relook_(loop.timer([this] {
        known_ = false;
        changed_ = true;
        step();
      })),
      retry_(loop.timer([this] {
        state_ = State::kIdle;
        step();
      })) {
  auto listening = monitor_.start();
  listening_ = listening.ok();
  if (!listening_) {
    base::log(base::Level::kInfo, "proxy", "removed rules come back late: {}",
              listening.error().message);
  }
  book_.put({static_cast<int>(RulePart::kBase), ""}, base_rules(options_, masquerade_mark()));
}

Iptables::~Iptables() = default;

std::string Iptables::masquerade_mark() const {
  return fmt::format("{0:#x}/{0:#x}", 1U << options_.masquerade_bit);
}

std::string Iptables::policy_mark() const {
  return fmt::format("{0:#x}/{0:#x}", 1U << options_.policy_bit);
}

void Iptables::set(RulePart part, RuleSet rules, Done done) {
  Pieces one;
  one[""] = std::move(rules);
  change(part, std::move(one), std::move(done));
}

void Iptables::change(RulePart part, Pieces pieces, Done done) {
  spoken_.insert(part);
  for (auto& [name, rules] : pieces) book_.put({static_cast<int>(part), name}, std::move(rules));
  if (done) waiting_.push_back(std::move(done));
  if (changed_) return;  // and so a step is to come
  changed_ = true;
  loop_.defer([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) step();
  });
}

void Iptables::step() {
  if (state_ != State::kIdle || !changed_) return;
  if (!told_ && loop_.monotonic_ms() - read_ms_ > kBelievedMs) known_ = false;
  if (known_) {
    apply();
  } else {
    read();
  }
}

void Iptables::read() {
  state_ = State::kReading;
  auto nftables = std::make_shared<bool>(false);
  auto job = [prefix = options_.prefix, v6 = options_.v6, nftables] {
    *nftables = uses_nftables(v6);
    return read_kernel(prefix, v6);
  };
  worker_.run<KernelRules>(job, [this, nftables](Result<KernelRules> result) {
    if (!result.ok()) return failed(result.error());
    told_ = listening_ && *nftables;
    kernel_ = confirmed(kernel_, *std::move(result));
    known_ = whole_ = true;
    read_ms_ = loop_.monotonic_ms();
    state_ = State::kIdle;
    step();
  });
}

void Iptables::apply() {
  bool keep_unknown = !std::all_of(options_.expected.begin(), options_.expected.end(),
                                   [this](RulePart part) { return spoken_.count(part) > 0; });
  RuleBook::Change change = book_.take_change();
  bool whole = whole_ || keep_unknown != kept_unknown_;
  whole_ = false;
  kept_unknown_ = keep_unknown;
  RuleSet rules = whole ? book_.all() : std::move(change.rules);
  KernelRules before = whole ? kernel_ : known_of(kernel_, change.chains);
  std::string text = transaction(rules, before, keep_unknown);
  KernelRules after = after_transaction(rules, before, keep_unknown);
  std::vector<Done> told = std::exchange(waiting_, {});
  changed_ = false;
  if (text.empty()) {
    for (const Done& done : told) done({});
    return;
  }
  state_ = State::kApplying;
  auto done = [this, whole, told = std::move(told), after = std::move(after),
               chains = std::move(change.chains)](Result<int> process) {
    Result<void> result;
    if (!process.ok()) result = process.error();
    if (result.ok()) {
      if (whole) {
        kernel_ = after;
      } else {
        learn(kernel_, chains, after);
      }
      // Their messages may come later than their end.
      ours_.push_back(static_cast<uint32_t>(*process));
      if (ours_.size() > kOwnProcesses) ours_.pop_front();
      judge_removals();
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
  auto job = [text = std::move(text), v6 = options_.v6] { return restore(text, v6); };
  worker_.run<int>(std::move(job), std::move(done));
}

void Iptables::failed(const Error& error) {
  retry_ms_ = std::clamp(retry_ms_ * 2, kFirstRetryMs, kLastRetryMs);
  base::log(base::Level::kWarning, "proxy", "{} rules are not in place, again in {} ms: {}",
            options_.v6 ? "ip6tables" : "iptables", retry_ms_, error.message);
  known_ = false;
  kernel_ = {};
  changed_ = true;
  state_ = State::kWaiting;
  for (const Done& done : std::exchange(waiting_, {})) done(error);
  retry_->start(retry_ms_);
}

// Told of our own transactions too, before we know which process it was.
void Iptables::removed_by(uint32_t port) {
  removers_.insert(port);
  if (state_ != State::kApplying) judge_removals();
}

void Iptables::judge_removals() {
  bool others = std::any_of(removers_.begin(), removers_.end(), [this](uint32_t port) {
    return std::find(ours_.begin(), ours_.end(), port) == ours_.end();
  });
  removers_.clear();
  if (!others || relook_->active()) return;
  int64_t now_ms = loop_.monotonic_ms();
  relook_ms_ = now_ms - relooked_ms_ > kCalmMs
                   ? kFirstRelookMs
                   : std::clamp(relook_ms_ * 2, kFirstRelookMs, kLastRelookMs);
  relooked_ms_ = now_ms + relook_ms_;
  base::log(base::Level::kWarning, "proxy", "rules of ours were removed, looking in {} ms",
            relook_ms_);
  relook_->start(relook_ms_);
}

Result<void> remove_rules(const std::string& prefix, bool v6) {
  TRY_ASSIGN(KernelRules kernel, read_kernel(prefix, v6));
  std::string text = transaction({}, kernel, false);
  if (text.empty()) return {};
  auto done = restore(text, v6);
  if (!done.ok()) return done.error();
  return {};
}

}  // namespace knarr::agent
