#include "runtime/cgroup_files.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/format.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kDefaultPeriod = 100000;

bpf_insn instruction(uint8_t code, uint8_t dst, uint8_t src, int16_t offset, int32_t value) {
  bpf_insn i{};
  i.code = code;
  i.dst_reg = dst & 0xf;
  i.src_reg = src & 0xf;
  i.off = offset;
  i.imm = value;
  return i;
}

// Registers of the program: 2 type, 3 asked access, 4 major, 5 minor.
class DeviceAssembler {
 public:
  DeviceAssembler() {
    add(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
    add(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
    add(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 0, 0);
    add(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
    add(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);
    add(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
  }

  // Answers 1 when the rule covers what is asked; else goes on with the next one.
  void allow(const DeviceRule& rule) {
    int access = 0;
    for (char c : rule.permissions) {
      access |= c == 'r'   ? BPF_DEVCG_ACC_READ
                : c == 'w' ? BPF_DEVCG_ACC_WRITE
                           : BPF_DEVCG_ACC_MKNOD;
    }
    bool majors = rule.major_number >= 0;
    bool minors = rule.minor_number >= 0;
    auto left = static_cast<int16_t>(1 + 3 + (majors ? 1 : 0) + (minors ? 1 : 0) + 1);
    int type = rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
    add(BPF_JMP | BPF_JNE | BPF_K, 2, 0, left--, type);
    add(BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0), left--;
    add(BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, access), left--;
    add(BPF_JMP | BPF_JNE | BPF_X, 1, 3, left--, 0);
    if (majors) add(BPF_JMP | BPF_JNE | BPF_K, 4, 0, left--, static_cast<int>(rule.major_number));
    if (minors) add(BPF_JMP | BPF_JNE | BPF_K, 5, 0, left--, static_cast<int>(rule.minor_number));
    finish(1);
  }

  void finish(int answer) {
    add(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, answer);
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  std::vector<uint64_t> take() { return std::move(code_); }

 private:
  void add(int code, uint8_t dst, uint8_t src, int16_t offset, int32_t value) {
    bpf_insn i = instruction(static_cast<uint8_t>(code), dst, src, offset, value);
    uint64_t word;
    memcpy(&word, &i, sizeof word);
    code_.push_back(word);
  }
  std::vector<uint64_t> code_;
};

}  // namespace

uint64_t cpu_weight(int64_t shares) {
  int64_t clamped = std::clamp<int64_t>(shares, 2, 262144);
  return static_cast<uint64_t>(1 + (clamped - 2) * 9999 / 262142);
}

std::vector<CgroupWrite> v1_writes(const Resources& r) {
  std::vector<CgroupWrite> out;
  auto add = [&](const char* controller, const char* file, int64_t value) {
    out.push_back({controller, file, fmt::format("{}", value)});
  };
  if (r.cpu_shares > 0) add("cpu", "cpu.shares", std::max<int64_t>(r.cpu_shares, 2));
  if (r.cpu_period_us > 0) add("cpu", "cpu.cfs_period_us", r.cpu_period_us);
  if (r.cpu_quota_us != 0) add("cpu", "cpu.cfs_quota_us", r.cpu_quota_us);
  if (r.memory_limit_bytes != 0) add("memory", "memory.limit_in_bytes", r.memory_limit_bytes);
  if (r.memory_swap_limit_bytes != 0) {
    add("memory", "memory.memsw.limit_in_bytes", r.memory_swap_limit_bytes);
  }
  if (r.pids_limit > 0) add("pids", "pids.max", r.pids_limit);
  return out;
}

std::vector<CgroupWrite> v2_writes(const Resources& r) {
  std::vector<CgroupWrite> out;
  auto add = [&](const char* controller, const char* file, std::string value) {
    out.push_back({controller, file, std::move(value)});
  };
  if (r.cpu_shares > 0) add("cpu", "cpu.weight", fmt::format("{}", cpu_weight(r.cpu_shares)));
  if (r.cpu_quota_us != 0 || r.cpu_period_us != 0) {
    std::string quota = r.cpu_quota_us > 0 ? fmt::format("{}", r.cpu_quota_us) : "max";
    add("cpu", "cpu.max",
        fmt::format("{} {}", quota, r.cpu_period_us > 0 ? r.cpu_period_us : kDefaultPeriod));
  }
  if (r.memory_limit_bytes != 0) {
    add("memory", "memory.max",
        r.memory_limit_bytes < 0 ? "max" : fmt::format("{}", r.memory_limit_bytes));
  }
  // v1 and the CRI count memory and swap together, v2 swap alone.
  if (r.memory_swap_limit_bytes > 0 && r.memory_limit_bytes > 0) {
    int64_t swap = std::max<int64_t>(r.memory_swap_limit_bytes - r.memory_limit_bytes, 0);
    add("memory", "memory.swap.max", fmt::format("{}", swap));
  } else if (r.memory_swap_limit_bytes < 0) {
    add("memory", "memory.swap.max", "max");
  }
  if (r.pids_limit > 0) add("pids", "pids.max", fmt::format("{}", r.pids_limit));
  for (const auto& [file, value] : r.unified) {
    out.push_back({file.substr(0, file.find('.')), file, value});
  }
  return out;
}

std::string DeviceRule::text() const {
  auto number = [](int64_t n) { return n < 0 ? std::string("*") : fmt::format("{}", n); };
  return fmt::format("{} {}:{} {}", type, number(major_number), number(minor_number), permissions);
}

std::vector<DeviceRule> device_rules(const std::vector<DeviceRule>& own) {
  std::vector<DeviceRule> rules = {{'c', -1, -1, "m"},    {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"},
                                   {'c', 1, 8, "rwm"},    {'c', 1, 7, "rwm"}, {'c', 5, 0, "rwm"},
                                   {'c', 1, 5, "rwm"},    {'c', 1, 9, "rwm"}, {'c', 5, 1, "rwm"},
                                   {'c', 136, -1, "rwm"}, {'c', 5, 2, "rwm"}};
  rules.insert(rules.end(), own.begin(), own.end());
  return rules;
}

std::vector<uint64_t> device_program(const std::vector<DeviceRule>& rules) {
  DeviceAssembler assembler;
  for (const DeviceRule& rule : rules) assembler.allow(rule);
  assembler.finish(0);
  return assembler.take();
}

uint64_t flat_value(const std::string& text, const std::string& key) {
  size_t at = ("\n" + text).find("\n" + key + " ");
  if (at == std::string::npos) return 0;
  return strtoull(text.c_str() + at + key.size() + 1, nullptr, 10);
}

}  // namespace knarr::runtime
