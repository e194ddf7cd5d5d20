#include "cli/kubectl/kubectl.h"

#include <csignal>
#include <cstdio>

#include "base/format.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

const std::span<const FlagSpec> kNoFlags;

namespace {

constexpr FlagSpec kGlobalFlags[] = {
    text_flag("kubeconfig", 0, "the kubeconfig file to use"),
    text_flag("context", 0, "the kubeconfig context to use"),
    text_flag("cluster", 0, "the kubeconfig cluster to use"),
    text_flag("user", 0, "the kubeconfig user to use"),
    text_flag("server", 's', "URL of the API server"),
    text_flag("token", 0, "bearer token"),
    text_flag("certificate-authority", 0, "file of the authority to believe"),
    text_flag("client-certificate", 0, "file of the client's certificate"),
    text_flag("client-key", 0, "file of the client's key"),
    bool_flag("insecure-skip-tls-verify", 0, "believe any server"),
    text_flag("namespace", 'n', "the namespace to work in"),
    text_flag("request-timeout", 0, "taken, without effect"),
    text_flag("v", 'v', "taken, without effect"),
    bool_flag("help", 'h', "this help"),
};

const Verb kVerbs[] = {
    {"get", get_verb, kGetFlags, "get TYPE[,TYPE...] [NAME...]", "list objects"},
    {"describe", describe_verb, kDescribeFlags, "describe TYPE [NAME...]", "tell all of an object"},
    {"apply", apply_verb, kApplyFlags, "apply -f FILE", "make objects be as files say"},
    {"create", create_verb, kCreateFlags, "create -f FILE | create KIND NAME", "create objects"},
    {"delete", delete_verb, kDeleteFlags, "delete TYPE NAME | delete -f FILE", "delete objects"},
    {"logs", logs_verb, kLogsFlags, "logs [-f] POD [-c CONTAINER]", "print a container's logs"},
    {"exec", exec_verb, kExecFlags, "exec [-it] POD [-c CONTAINER] -- COMMAND",
     "run a command in a container"},
    {"attach", attach_verb, kAttachFlags, "attach [-it] POD [-c CONTAINER]",
     "attach to a running container"},
    {"scale", scale_verb, kScaleFlags, "scale --replicas=N TYPE/NAME",
     "set the number of replicas"},
    {"rollout", rollout_verb, kRolloutFlags,
     "rollout status|restart|undo|history|pause|resume TYPE/NAME", "watch and steer a rollout"},
    {"set", set_verb, kSetFlags, "set image TYPE/NAME CONTAINER=IMAGE", "change images"},
    {"wait", wait_verb, kWaitFlags, "wait --for=CONDITION TYPE/NAME", "wait for a condition"},
    {"label", label_verb, kLabelFlags, "label TYPE NAME KEY=VALUE... KEY-", "change labels"},
    {"annotate", annotate_verb, kLabelFlags, "annotate TYPE NAME KEY=VALUE... KEY-",
     "change annotations"},
    {"patch", patch_verb, kPatchFlags, "patch TYPE NAME -p PATCH", "change fields of an object"},
    {"run", run_verb, kRunFlags, "run NAME --image=IMAGE [-- COMMAND]", "run a pod"},
    {"expose", expose_verb, kExposeFlags, "expose TYPE NAME --port=PORT", "make a service"},
    {"explain", explain_verb, kExplainFlags, "explain TYPE[.FIELD...]", "what fields mean"},
    {"cordon", cordon_verb, kCordonFlags, "cordon NODE", "let a node take no new pods"},
    {"uncordon", uncordon_verb, kCordonFlags, "uncordon NODE", "let a node take pods again"},
    {"drain", drain_verb, kDrainFlags, "drain NODE", "empty a node"},
    {"version", version_verb, kVersionFlags, "version", "versions of client and server"},
    {"cluster-info", cluster_info_verb, kNoFlags, "cluster-info", "where the control plane is"},
    {"api-resources", api_resources_verb, kApiResourcesFlags, "api-resources",
     "resources of the server"},
    {"api-versions", api_versions_verb, kNoFlags, "api-versions", "API versions of the server"},
    {"top", top_verb, kTopFlags, "top node|pod [NAME]", "use of resources"},
    {"config", config_verb, kConfigFlags, "config view|current-context|get-contexts",
     "the kubeconfig in use"},
};

void print_help() {
  std::string text =
      "knarr kubectl works with the objects of a cluster, as kubectl does.\n\nusage: knarr kubectl "
      "VERB [flags]\n\n";
  for (const Verb& verb : kVerbs) text += fmt::format("  {:<14} {}\n", verb.name, verb.about);
  text += "\nflags of every verb:\n" + flags_help(kGlobalFlags);
  text += "\n`knarr kubectl VERB --help` says more.\n";
  print(text);
}

int run_verb_line(const Verb& verb, const std::vector<std::string>& args,
                  const std::string& version) {
  std::span<const FlagSpec> tables[] = {kGlobalFlags, verb.flags};
  auto flags = Flags::parse(tables, args);
  if (!flags.ok()) {
    std::fprintf(stderr, "error: %s\nSee 'kubectl %s --help' for usage.\n",
                 flags.error().message.c_str(), verb.name);
    return 1;
  }
  if (flags->yes("help")) {
    print(fmt::format("usage: knarr kubectl {}\n\n{}.\n\nflags:\n{}", verb.usage, verb.about,
                      flags_help(verb.flags)));
    return 0;
  }
  auto session = Session::open(*flags, version);
  if (!session.ok()) return report(session.error());
  auto status = verb.run(*session, *flags);
  return status.ok() ? *status : report(status.error());
}

}  // namespace

int run(const std::vector<std::string>& args, const std::string& version) {
  std::signal(SIGPIPE, SIG_IGN);
  size_t at = first_word(kGlobalFlags, args);
  if (at == args.size() || args[at] == "help") {
    print_help();
    return 0;
  }
  for (const Verb& verb : kVerbs) {
    if (args[at] != verb.name) continue;
    std::vector<std::string> rest = args;
    rest.erase(rest.begin() + static_cast<ptrdiff_t>(at));
    return run_verb_line(verb, rest, version);
  }
  std::fprintf(stderr, "error: unknown command \"%s\" for \"kubectl\"\n", args[at].c_str());
  return 1;
}

}  // namespace knarr::kubectl
