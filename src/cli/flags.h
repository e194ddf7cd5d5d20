// The flags of a subcommand: declared once, filled from the config file, then KNARR_* variables,
// then the command line (each wins over the one before), and printed as --help.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::cli {

class FlagSet {
 public:
  // `usage` is the line after "usage: ", `about` one or two sentences.
  FlagSet(std::string usage, std::string about);

  // Each target keeps its value as the default. `name` without dashes; `value_name` as in --help.
  // The variable is KNARR_ and the name in capitals with underscores.
  void text(std::string name, std::string& target, std::string value_name, std::string help);
  void number(std::string name, int64_t& target, std::string value_name, std::string help);
  void boolean(std::string name, bool& target, std::string help);
  // May be given several times, or separated by commas.
  void list(std::string name, std::vector<std::string>& target, std::string value_name,
            std::string help);
  // A list that is kept as one text: its values with commas between.
  void joined(std::string name, std::string& target, std::string value_name, std::string help);
  // A one-letter or older name for a flag that is there.
  void alias(std::string alias, const std::string& name);

  // Names are flag names; an unknown one is an error that names the file.
  Result<void> read_config(const json::Value& config, const std::string& file);
  Result<void> read_environment(const std::function<const char*(const char*)>& get);
  // Takes flags ("--name value", "--name=value", "-n value", "--boolean", "--boolean=false") and
  // leaves the rest, in order, in `positional`. "--" ends the flags. --help sets help_wanted().
  Result<void> parse(const std::vector<std::string>& args, std::vector<std::string>& positional);

  bool help_wanted() const { return help_wanted_; }
  std::string help() const;
  // After reading: the exit status of a command that has nothing more to do, because its help was
  // wanted (printed here, 0) or its usage is wrong (said here, 2).
  std::optional<int> settled(const Result<void>& read) const;

 private:
  enum class Type { kText, kNumber, kBoolean, kList, kJoined };
  struct Flag {
    std::string name;
    Type type;
    void* target;
    std::string value_name;
    std::string help;
    std::vector<std::string> aliases;
    int set_by = 0;  // which source gave a list its values: a stronger source starts it anew
  };

  void add(Flag flag);
  Flag* find(const std::string& name);
  Result<void> assign(Flag& flag, const std::string& value, int source);
  Result<void> assign_json(Flag& flag, const json::Value& value, const std::string& file);

  std::string usage_;
  std::string about_;
  std::vector<Flag> flags_;
  bool help_wanted_ = false;
};

}  // namespace knarr::cli
