// Command lines in kubectl's manner: "--name=value", "--name value", "-n value", "-nvalue", bundles
// ("-it"), booleans that take "=false", flags whose value may be left out ("--dry-run"), flags
// anywhere between the words. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::kubectl {

struct FlagSpec {
  enum class Kind { kBool, kText, kList };
  const char* name;
  char letter;  // 0: none
  Kind kind;
  const char* bare;  // the value when none is given with "="; null: a value must follow
  const char* help;
};

constexpr FlagSpec bool_flag(const char* name, char letter, const char* help) {
  return {name, letter, FlagSpec::Kind::kBool, "true", help};
}
constexpr FlagSpec text_flag(const char* name, char letter, const char* help) {
  return {name, letter, FlagSpec::Kind::kText, nullptr, help};
}
constexpr FlagSpec list_flag(const char* name, char letter, const char* help) {
  return {name, letter, FlagSpec::Kind::kList, nullptr, help};
}
constexpr FlagSpec bare_flag(const char* name, char letter, const char* bare, const char* help) {
  return {name, letter, FlagSpec::Kind::kText, bare, help};
}

// The objects that a verb is for: named in files, or chosen among those there are.
inline constexpr FlagSpec kSelectionFlags[] = {
    list_flag("filename", 'f', "files, folders or URLs that name the objects"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    text_flag("selector", 'l', "label selector"),
    text_flag("field-selector", 0, "field selector"),
    bool_flag("all", 0, "every object of the types"),
    bool_flag("all-namespaces", 'A', "in every namespace"),
};

template <size_t N, size_t M>
constexpr std::array<FlagSpec, N + M> joined(const FlagSpec (&first)[N],
                                             const FlagSpec (&second)[M]) {
  std::array<FlagSpec, N + M> all{};
  for (size_t i = 0; i < N; i++) all[i] = first[i];
  for (size_t i = 0; i < M; i++) all[N + i] = second[i];
  return all;
}

class Flags {
 public:
  // Flags of the later tables hide equal letters of the earlier ones. Errors in kubectl's words.
  static Result<Flags> parse(std::span<const std::span<const FlagSpec>> tables,
                             const std::vector<std::string>& args);

  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  bool yes(std::string_view name, bool fallback = false) const;
  std::string text(std::string_view name, std::string_view fallback = {}) const;  // the last one
  std::vector<std::string> all(std::string_view name) const;  // of lists: split at commas
  Result<int64_t> number(std::string_view name, int64_t fallback) const;
  // Nanoseconds, from Go's text ("1m30s") or plain seconds.
  Result<int64_t> duration(std::string_view name, int64_t fallback_ns) const;
  void set(std::string name, std::string value) { values_[std::move(name)] = {std::move(value)}; }

  std::vector<std::string> words;  // what is not a flag; before "--" and after it
  int dash_at = -1;                // how many words came before "--"; -1: there was none

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

// The place of the first word that is neither a flag nor a flag's value; args.size() if none.
size_t first_word(std::span<const FlagSpec> table, const std::vector<std::string>& args);

std::string flags_help(std::span<const FlagSpec> table);

std::vector<std::string> split(std::string_view text, char separator);

}  // namespace knarr::kubectl
