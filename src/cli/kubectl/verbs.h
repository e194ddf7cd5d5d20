// The verbs of kubectl: a row in kubectl.cc's table, a function here, a file of its own.
#pragma once

#include <span>

#include "cli/kubectl/flags.h"
#include "cli/kubectl/session.h"

namespace knarr::kubectl {

// Each returns the exit status; an Error ends the command with status 1.
using VerbFunction = Result<int> (*)(Session&, const Flags&);

struct Verb {
  const char* name;
  VerbFunction run;
  std::span<const FlagSpec> flags;
  const char* usage;
  const char* about;
};

extern const std::span<const FlagSpec> kNoFlags;
extern const std::span<const FlagSpec> kGetFlags, kDescribeFlags, kApplyFlags, kCreateFlags,
    kDeleteFlags, kLogsFlags, kExecFlags, kAttachFlags, kScaleFlags, kRolloutFlags, kWaitFlags,
    kLabelFlags, kPatchFlags, kRunFlags, kExposeFlags, kVersionFlags, kApiResourcesFlags,
    kConfigFlags, kSetFlags, kExplainFlags, kCordonFlags, kDrainFlags, kTopFlags;

Result<int> get_verb(Session& session, const Flags& flags);
Result<int> describe_verb(Session& session, const Flags& flags);
Result<int> apply_verb(Session& session, const Flags& flags);
Result<int> create_verb(Session& session, const Flags& flags);
Result<int> delete_verb(Session& session, const Flags& flags);
Result<int> logs_verb(Session& session, const Flags& flags);
Result<int> exec_verb(Session& session, const Flags& flags);
Result<int> attach_verb(Session& session, const Flags& flags);
Result<int> scale_verb(Session& session, const Flags& flags);
Result<int> rollout_verb(Session& session, const Flags& flags);
Result<int> set_verb(Session& session, const Flags& flags);
Result<int> wait_verb(Session& session, const Flags& flags);
Result<int> label_verb(Session& session, const Flags& flags);
Result<int> annotate_verb(Session& session, const Flags& flags);
Result<int> patch_verb(Session& session, const Flags& flags);
Result<int> run_verb(Session& session, const Flags& flags);
Result<int> expose_verb(Session& session, const Flags& flags);
Result<int> version_verb(Session& session, const Flags& flags);
Result<int> cluster_info_verb(Session& session, const Flags& flags);
Result<int> api_resources_verb(Session& session, const Flags& flags);
Result<int> api_versions_verb(Session& session, const Flags& flags);
Result<int> top_verb(Session& session, const Flags& flags);
Result<int> explain_verb(Session& session, const Flags& flags);
Result<int> cordon_verb(Session& session, const Flags& flags);
Result<int> uncordon_verb(Session& session, const Flags& flags);
Result<int> drain_verb(Session& session, const Flags& flags);
Result<int> config_verb(Session& session, const Flags& flags);

}  // namespace knarr::kubectl
