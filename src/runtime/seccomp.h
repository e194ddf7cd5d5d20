// Seccomp profiles: the default one from a table, a localhost one from JSON (OCI runtime spec,
// config-linux "Seccomp"), compiled once into the program that a container's process loads.
// Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::runtime {

struct SeccompArgument {
  unsigned index = 0;
  uint64_t value = 0;
  uint64_t value_two = 0;  // of "SCMP_CMP_MASKED_EQ": what the masked argument must be
  std::string op = "SCMP_CMP_EQ";
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action = "SCMP_ACT_ALLOW";
  int errno_value = 1;                     // EPERM
  std::vector<SeccompArgument> arguments;  // all must hold
};

struct SeccompRules {
  std::string default_action = "SCMP_ACT_ERRNO";
  int default_errno = 1;
  std::vector<std::string>
      architectures;  // "SCMP_ARCH_X86_64"; empty: this machine's, and its subsets
  std::vector<SeccompRule> rules;
  // System calls newer than all those named fail with ENOSYS, so that programs fall back.
  bool unknown_is_enosys = true;
};

// What a container with these capabilities may call.
SeccompRules default_seccomp(uint64_t capabilities);

Result<SeccompRules> parse_seccomp(std::string_view json);

// The bytes of a BPF program (struct sock_filter[]).
Result<std::string> compile_seccomp(const SeccompRules& rules);

}  // namespace knarr::runtime
