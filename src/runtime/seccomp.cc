#include "runtime/seccomp.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

#include "base/ascii.h"
#include "base/format.h"
#include "base/json.h"
#include "base/unique_fd.h"

namespace knarr::runtime {

namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

constexpr uint32_t kX32Bit = 0x40000000;

Result<uint32_t> action_of(const std::string& name, int errno_value) {
  if (name == "SCMP_ACT_ALLOW") return uint32_t{SCMP_ACT_ALLOW};
  if (name == "SCMP_ACT_ERRNO") return uint32_t{SCMP_ACT_ERRNO(static_cast<uint32_t>(errno_value))};
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD")
    return uint32_t{SCMP_ACT_KILL_THREAD};
  if (name == "SCMP_ACT_KILL_PROCESS") return uint32_t{SCMP_ACT_KILL_PROCESS};
  if (name == "SCMP_ACT_TRAP") return uint32_t{SCMP_ACT_TRAP};
  if (name == "SCMP_ACT_LOG") return uint32_t{SCMP_ACT_LOG};
  if (name == "SCMP_ACT_TRACE") return uint32_t{SCMP_ACT_TRACE(static_cast<uint32_t>(errno_value))};
  return make_error(Code::kInvalid, fmt::format("seccomp: unknown action \"{}\"", name));
}

Result<scmp_arg_cmp> comparison_of(const SeccompArgument& argument) {
  struct Row {
    const char* name;
    scmp_compare op;
  };
  constexpr Row kRows[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
                           {"SCMP_CMP_LT", SCMP_CMP_LT},
                           {"SCMP_CMP_LE", SCMP_CMP_LE},
                           {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                           {"SCMP_CMP_GE", SCMP_CMP_GE},
                           {"SCMP_CMP_GT", SCMP_CMP_GT},
                           {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  for (const Row& row : kRows) {
    if (argument.op == row.name && argument.index < 6) {
      return scmp_arg_cmp{argument.index, row.op, argument.value, argument.value_two};
    }
  }
  return make_error(Code::kInvalid, fmt::format("seccomp: unknown comparison \"{}\"", argument.op));
}

Result<void> add_architectures(scmp_filter_ctx context, const SeccompRules& rules) {
  std::vector<std::string> names = rules.architectures;
  if (names.empty()) {
    switch (seccomp_arch_native()) {
      case SCMP_ARCH_X86_64: names = {"SCMP_ARCH_X86", "SCMP_ARCH_X32"}; break;
      case SCMP_ARCH_AARCH64: names = {"SCMP_ARCH_ARM"}; break;
      default: break;
    }
  }
  for (const std::string& name : names) {
    std::string lower =
        base::lower(name.starts_with("SCMP_ARCH_") ? std::string_view(name).substr(10) : name);
    uint32_t token = seccomp_arch_resolve_name(lower.c_str());
    if (token == 0) {
      return make_error(Code::kInvalid, fmt::format("seccomp: unknown architecture \"{}\"", name));
    }
    int added = seccomp_arch_add(context, token);
    if (added != 0 && added != -EEXIST) return errno_error(-added, "seccomp: add " + name);
  }
  return {};
}

Result<void> add_rule(scmp_filter_ctx context, const SeccompRule& rule, uint32_t default_action) {
  TRY_ASSIGN(uint32_t action, action_of(rule.action, rule.errno_value));
  if (action == default_action) return {};  // libseccomp refuses what changes nothing
  std::vector<scmp_arg_cmp> arguments;
  for (const SeccompArgument& argument : rule.arguments) {
    TRY_ASSIGN(scmp_arg_cmp comparison, comparison_of(argument));
    arguments.push_back(comparison);
  }
  for (const std::string& name : rule.names) {
    int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    int added = seccomp_rule_add_array(context, action, number,
                                       static_cast<unsigned>(arguments.size()), arguments.data());
    if (added != 0 && added != -EDOM && added != -EEXIST) {
      return errno_error(-added, "seccomp: rule for " + name);
    }
  }
  return {};
}

uint32_t newest_named(const SeccompRules& rules) {
  int newest = 0;
  for (const SeccompRule& rule : rules.rules) {
    for (const std::string& name : rule.names) {
      newest = std::max(newest, seccomp_syscall_resolve_name(name.c_str()));
    }
  }
  return static_cast<uint32_t>(newest);
}

// Put before the program: native calls above `newest` answer ENOSYS.
std::string unknown_call_prologue(uint32_t newest) {
  const sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  return std::string(reinterpret_cast<const char*>(code), sizeof code);
}

Result<std::string> export_program(scmp_filter_ctx context) {
  base::UniqueFd fd(memfd_create("seccomp", MFD_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "memfd_create");
  if (int failed = seccomp_export_bpf(context, fd.get()); failed != 0) {
    return errno_error(-failed, "seccomp: export the program");
  }
  off_t size = lseek(fd.get(), 0, SEEK_END);
  std::string program(static_cast<size_t>(size), '\0');
  if (pread(fd.get(), program.data(), program.size(), 0) != size) {
    return errno_error(errno, "seccomp: read the program");
  }
  return program;
}

}  // namespace

Result<std::string> compile_seccomp(const SeccompRules& rules) {
  TRY_ASSIGN(uint32_t default_action, action_of(rules.default_action, rules.default_errno));
  Context context(seccomp_init(default_action), &seccomp_release);
  if (context == nullptr) return make_error(Code::kInternalError, "seccomp: no memory");
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree, not a list
  TRY(add_architectures(context.get(), rules));
  for (const SeccompRule& rule : rules.rules) TRY(add_rule(context.get(), rule, default_action));
  TRY_ASSIGN(std::string program, export_program(context.get()));
  if (!rules.unknown_is_enosys || default_action == SCMP_ACT_ALLOW) return program;
  return unknown_call_prologue(newest_named(rules)) + program;
}

Result<SeccompRules> parse_seccomp(std::string_view text) {
  TRY_ASSIGN(json::Value root, json::parse(text));
  SeccompRules rules;
  rules.default_action = root["defaultAction"].text();
  rules.default_errno = static_cast<int>(root["defaultErrnoRet"].as_int(EPERM));
  for (const json::Value& name : root["architectures"].elements()) {
    rules.architectures.push_back(name.text());
  }
  for (const json::Value& entry : root["syscalls"].elements()) {
    SeccompRule& rule = rules.rules.emplace_back();
    for (const json::Value& name : entry["names"].elements()) rule.names.push_back(name.text());
    rule.action = entry["action"].text();
    rule.errno_value = static_cast<int>(entry["errnoRet"].as_int(EPERM));
    for (const json::Value& argument : entry["args"].elements()) {
      rule.arguments.push_back({static_cast<unsigned>(argument["index"].as_int()),
                                static_cast<uint64_t>(argument["value"].as_int()),
                                static_cast<uint64_t>(argument["valueTwo"].as_int()),
                                argument["op"].text()});
    }
  }
  TRY(action_of(rules.default_action, rules.default_errno));
  return rules;
}

}  // namespace knarr::runtime
