// kubectl logs: of one container, of all of a pod, of every pod a selector matches.
#include <cstdio>
#include <thread>

#include "base/format.h"
#include "cli/kubectl/pod_choice.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kFlags[] = {
    bool_flag("follow", 'f', "go on with what is written"),
    bool_flag("previous", 'p', "of the container's previous run"),
    text_flag("container", 'c', "which container"),
    bool_flag("all-containers", 0, "every container of the pod"),
    bool_flag("timestamps", 0, "the time before each line"),
    bool_flag("prefix", 0, "pod and container before each line"),
    text_flag("tail", 0, "how many lines from the end (-1: all)"),
    text_flag("since", 0, "only what is younger than this"),
    text_flag("since-time", 0, "only what came after this moment"),
    text_flag("limit-bytes", 0, "at most this many bytes"),
    text_flag("selector", 'l', "every pod with these labels"),
    bool_flag("ignore-errors", 0, "go on after an error"),
    text_flag("max-log-requests", 0, "taken, without effect"),
    text_flag("pod-running-timeout", 0, "taken, without effect"),
    bool_flag("insecure-skip-tls-verify-backend", 0, "do not verify the node's certificate"),
};

struct Source {
  std::string ns;
  std::string pod;
  std::string container;
};

Result<net::Query> log_query(const Flags& flags) {
  net::Query query;
  for (const char* name : {"follow", "previous", "timestamps"}) {
    if (flags.yes(name)) query.add(name, "true");
  }
  if (flags.yes("insecure-skip-tls-verify-backend")) {
    query.add("insecureSkipTLSVerifyBackend", "true");
  }
  // With a selector kubectl shows the last ten lines, else all.
  TRY_ASSIGN(int64_t tail, flags.number("tail", flags.has("selector") ? 10 : -1));
  if (tail >= 0) query.add("tailLines", std::to_string(tail));
  TRY_ASSIGN(int64_t since, flags.duration("since", 0));
  if (since > 0) query.add("sinceSeconds", std::to_string((since + 999999999) / 1000000000));
  if (flags.has("since-time")) query.add("sinceTime", flags.text("since-time"));
  if (flags.has("limit-bytes")) query.add("limitBytes", flags.text("limit-bytes"));
  return query;
}

// Writes whole lines, each after its prefix.
class Lines {
 public:
  explicit Lines(std::string prefix) : prefix_(std::move(prefix)) {}
  bool take(std::string_view bytes) {
    if (prefix_.empty()) {
      print(bytes);
    } else {
      std::string out;
      for (char c : bytes) {
        line_ += c;
        if (c != '\n') continue;
        out += prefix_ + line_;
        line_.clear();
      }
      print(out);
    }
    return std::ferror(stdout) == 0;
  }
  void finish() {
    if (!line_.empty()) print(prefix_ + line_ + "\n");
  }

 private:
  std::string prefix_;
  std::string line_;
};

Result<void> show(ApiClient& api, const Flags& flags, const net::Query& query,
                  const Source& source) {
  ApiAsk ask;
  ask.path = fmt::format("/api/v1/namespaces/{}/pods/{}/log", source.ns,
                         net::percent_encode_path(source.pod));
  ask.query = query;
  ask.query.add("container", source.container);
  ask.accept = "*/*";
  Lines lines(flags.yes("prefix") ? fmt::format("[pod/{}/{}] ", source.pod, source.container) : "");
  TRY(api.stream(ask, [&](std::string_view bytes) { return lines.take(bytes); }));
  lines.finish();
  return {};
}

// Several at once: a connection and a thread each; lines come as they are written.
int follow_all(Session& session, const Flags& flags, const net::Query& query,
               const std::vector<Source>& sources) {
  std::vector<int> status(sources.size(), 0);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < sources.size(); i++) {
    threads.emplace_back([&, i] {
      auto http = HttpSession::open(session.config());
      if (!http.ok()) {
        status[i] = report(http.error());
        return;
      }
      ApiClient api(std::move(*http));
      auto shown = show(api, flags, query, sources[i]);
      if (!shown.ok()) status[i] = report(shown.error());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int one : status) {
    if (one != 0) return one;
  }
  return 0;
}

Result<void> add_sources(const json::Value& pod, const Flags& flags, const std::string& container,
                         std::vector<Source>& sources) {
  std::string ns = pod["metadata"]["namespace"].text();
  std::string name = pod["metadata"]["name"].text();
  if (flags.yes("all-containers")) {
    for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
      for (const json::Value& one : pod["spec"][list].elements()) {
        sources.push_back({ns, name, one["name"].text()});
      }
    }
    return {};
  }
  auto choice = choose_container(pod, container);
  if (!choice.ok()) {
    return make_error(Code::kBadRequest,
                      fmt::format("container {} is not valid for pod {}", container, name));
  }
  if (!choice->note.empty()) std::fputs(choice->note.c_str(), stderr);
  sources.push_back({ns, name, choice->name});
  return {};
}

// logs tells of the server's error in words of its own.
Error named_error(const Error& error, const std::string& ns) {
  if (error.details == nullptr || error.code != Code::kNotFound) return error;
  return make_error(
      Code::kBadRequest,
      fmt::format("error from server (NotFound): {} in namespace \"{}\"", error.message, ns));
}

}  // namespace

const std::span<const FlagSpec> kLogsFlags = kFlags;

Result<int> logs_verb(Session& session, const Flags& flags) {
  constexpr char kUsage[] =
      "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required "
      "argument for the logs command";
  if (flags.words.size() > 2 || (flags.words.empty() && !flags.has("selector"))) {
    return usage_error("logs", kUsage);
  }
  TRY_ASSIGN(net::Query query, log_query(flags));
  std::string container =
      flags.text("container", flags.words.size() == 2 ? flags.words[1] : std::string());
  std::vector<Source> sources;
  if (flags.words.empty()) {
    TRY_ASSIGN(std::vector<json::Value> pods,
               pods_of(session, session.ns(), flags.text("selector")));
    for (const json::Value& pod : pods) TRY(add_sources(pod, flags, container, sources));
    if (sources.empty()) {
      std::fprintf(stderr, "No resources found in %s namespace.\n", session.ns().c_str());
      return 0;
    }
  } else {
    auto pod = find_pod(session, flags.words[0], true);
    if (!pod.ok()) return named_error(pod.error(), session.ns());
    TRY(add_sources(*pod, flags, container, sources));
  }
  if (flags.yes("follow") && sources.size() > 1) return follow_all(session, flags, query, sources);
  TRY_ASSIGN(ApiClient * api, session.api());
  int status = 0;
  for (const Source& source : sources) {
    auto shown = show(*api, flags, query, source);
    if (shown.ok()) continue;
    if (!flags.yes("ignore-errors")) return shown.error();
    status = report(shown.error());
  }
  return status;
}

}  // namespace knarr::kubectl
