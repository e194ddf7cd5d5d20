// knarr dev up | down | stop | list | load | logs: whole clusters of several nodes on this machine.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>

#include "api/names.h"
#include "base/file.h"
#include "base/format.h"
#include "base/run_process.h"
#include "cli/command.h"
#include "cli/dev_cluster.h"
#include "cli/dev_logs.h"
#include "cli/dev_network.h"
#include "cli/dev_orphans.h"
#include "cli/dev_process.h"
#include "cli/dev_slirp.h"
#include "cli/dev_user_space.h"
#include "cli/flags.h"
#include "cli/kubectl/tab_writer.h"
#include "cli/local_client.h"

namespace knarr::cli {

namespace {

constexpr size_t kMostName = 20;  // of paths of sockets, 107 bytes
constexpr int64_t kMostNodes = 50;
constexpr int kFirstApiPort = 16443;
constexpr int kApiPorts = 200;

struct DevOptions {
  std::string dev_dir;
  std::string cgroup_root = "knarr-dev";
  std::string name = "dev";
  int64_t nodes = 0;
  std::vector<std::string> publish;
  bool all = false;
  bool follow = false;
  DevPlace place;
};

FlagSet dev_flags(DevOptions& o) {
  FlagSet f(
      "knarr dev up | down | stop [NAME] | list | load IMAGE | logs [NAME [NODE]]",
      "Clusters of several nodes on this machine, each node in a network namespace of its own."
      "\nNAME is \"dev\" when not given; the node names are NAME-server and NAME-agent-1, ...\n"
      "  up      makes a cluster, or starts it again; kubectl's context becomes knarr-NAME\n"
      "  down    removes it and all that belongs to it\n"
      "  stop    ends its nodes and pods; what is stored stays, `up` brings them back\n"
      "  list    the clusters there are\n"
      "  load    gives an image to every node: a file of `docker save`, an OCI layout in a "
      "tar or a folder,\n          or the name of one that docker or podman has\n"
      "  logs    what a node's knarr wrote; NODE is server (if not given) or agent-1, ...\n"
      "Without root a user has clusters of his own, in a user namespace; wanted are uidmap, "
      "slirp4netns and\n"
      "lines in /etc/subuid and /etc/subgid. What that can't do: ports below 1024 of this machine, "
      "and, without\n"
      "a systemd user session and cgroup v2, limits of memory and CPU.");
  f.text("name", o.name, "NAME", "the cluster, where no NAME is given");
  f.number("nodes", o.nodes, "N",
           "how many nodes, the first of them the server; 0: as many as there are, or one");
  f.list("publish", o.publish, "HOSTPORT:PORT",
         "a port of this machine that leads to one of the node with the server; /udp may follow");
  f.boolean("all", o.all, "down, stop: every cluster");
  f.boolean("follow", o.follow, "logs: goes on as the node writes, until its cluster is removed");
  f.alias("f", "follow");
  f.text("dev-dir", o.dev_dir, "DIR",
         "where clusters are kept; if empty, /var/lib/knarr/dev or ~/.local/share/knarr/dev");
  f.text("cgroup-root", o.cgroup_root, "NAME", "what names of cgroups begin with");
  return f;
}

std::set<int> running_nodes(const DevCluster& c) {
  std::set<int> running;
  for (int node = 0; node < c.nodes; node++) {
    if (pid_of_dev_node(c, node) != 0) running.insert(node);
  }
  return running;
}

Result<DevCluster> known_or_new(const DevOptions& o) {
  auto known = load_dev_cluster(o.place, o.name);
  if (known.ok()) {
    if (!o.publish.empty() && o.publish != known->publish) {
      return make_error(Code::kBadRequest,
                        "cluster " + o.name + " publishes other ports; `knarr dev down` first");
    }
    if (o.nodes != 0 && o.nodes < known->nodes) {
      return make_error(Code::kBadRequest,
                        fmt::format("cluster {} has {} nodes already", o.name, known->nodes));
    }
    return known;
  }
  if (known.error().code != Code::kNotFound) return known;
  DevCluster c;
  c.name = o.name;
  c.place = o.place;
  // Processes, links and cgroups have names without the folder.
  if (int pid = any_dev_node_of(c.run()); pid != 0) {
    return make_error(Code::kConflict,
                      fmt::format("a cluster {} of another --dev-dir runs (process {}): choose "
                                  "another name, or `knarr dev stop {}` with its --dev-dir first",
                                  o.name, pid, o.name));
  }
  c.cgroup_root = o.cgroup_root;
  c.nodes = 0;
  c.publish = o.publish;
  std::vector<int> taken;
  for (const DevCluster& other : list_dev_clusters(o.place)) taken.push_back(other.subnet);
  TRY_ASSIGN(c.subnet, DevNetwork::free_subnet(taken));
  return c;
}

// Ports of the machine, "8080/tcp", that other clusters of this user have or will want again.
std::map<std::string, std::string> ports_of_others(const DevCluster& c) {
  std::map<std::string, std::string> out;
  for (const DevCluster& other : list_dev_clusters(c.place)) {
    if (other.name == c.name) continue;
    if (other.api_port != 0) out[fmt::format("{}/tcp", other.api_port)] = other.name;
    for (const std::string& text : other.publish) {
      auto p = parse_published(text);
      if (p.ok()) out[p->host_port + "/" + p->protocol] = other.name;
    }
  }
  return out;
}

// Of two that publish one port the kernel's rules would serve the first, and say nothing.
Result<void> check_ports(const DevCluster& c) {
  auto taken = ports_of_others(c);
  for (const std::string& text : c.publish) {
    TRY_ASSIGN(Published p, parse_published(text));
    auto other = taken.find(p.host_port + "/" + p.protocol);
    if (other == taken.end()) continue;
    return make_error(Code::kConflict,
                      "port " + other->first + " is cluster " + other->second + "'s");
  }
  return {};
}

// A cluster that was kept elsewhere, and began while this one was stopped, may have its network.
Result<void> check_subnet(const DevCluster& c) {
  auto others = find_processes([&](const std::string& process) {
    auto arguments = base::read_file(process + "/cmdline");
    return arguments.ok() && runs_below(*arguments, c.place.run_root) &&
           !runs_below(*arguments, c.run()) && has_address_in(*arguments, c.subnet);
  });
  if (others.empty()) return {};
  return make_error(Code::kConflict,
                    fmt::format("10.89.{}.0/24, the network of cluster {}, is in use by one of "
                                "another --dev-dir (process {}): `knarr dev stop` that one first",
                                c.subnet, c.name, others[0].pid));
}

// Ports of the machine, from where its network is not ours.
Result<void> forward_ports(DevCluster& c) {
  DevSlirp slirp(c.place.run_root);
  for (const std::string& text : c.publish) {
    TRY_ASSIGN(Published p, parse_published(text));
    TRY(slirp.unforward(std::stoi(p.host_port), p.protocol));
    TRY(slirp.forward("0.0.0.0", std::stoi(p.host_port), p.protocol));
  }
  if (c.api_port != 0) {
    TRY(slirp.unforward(c.api_port, "tcp"));
    return slirp.forward("127.0.0.1", c.api_port, "tcp");
  }
  Result<void> done;
  auto taken = ports_of_others(c);
  for (int port = kFirstApiPort; port < kFirstApiPort + kApiPorts; port++) {
    if (taken.count(fmt::format("{}/tcp", port)) > 0) continue;
    done = slirp.forward("127.0.0.1", port, "tcp");
    if (done.ok()) c.api_port = port;
    if (done.ok()) return save_dev_cluster(c);
  }
  return done;
}

Result<void> take_back_ports(const DevCluster& c) {
  DevSlirp slirp(c.place.run_root);
  for (const std::string& text : c.publish) {
    TRY_ASSIGN(Published p, parse_published(text));
    TRY(slirp.unforward(std::stoi(p.host_port), p.protocol));
  }
  return slirp.unforward(c.api_port, "tcp");
}

Result<void> bring_up(DevCluster& c) {
  TRY(save_dev_cluster(c));
  std::vector<std::string> published = c.publish;
  if (c.place.rootless) {
    TRY(forward_ports(c));
    published.push_back(fmt::format("{}:6443", c.api_port));
  }
  TRY(DevNetwork(c).ensure(c.nodes, published));
  TRY(start_dev_nodes(c));
  return add_dev_context(c);
}

Result<void> stop(const DevCluster& c) {
  TRY(stop_dev_cluster(c));
  if (!c.place.rootless) return {};
  auto taken = take_back_ports(c);
  // They end with the last cluster in any case.
  if (!taken.ok()) std::fprintf(stderr, "knarr: ports: %s\n", taken.error().message.c_str());
  return {};
}

Result<void> take_down(const DevCluster& c) {
  TRY(stop(c));
  // A kubeconfig that cannot be read is the user's to mend.
  auto removed = remove_dev_context(c);
  TRY(remove_dev_files(c));
  return removed;
}

// After `up` failed: what it began ends, and what ran before goes on.
Result<void> take_back(DevCluster& c, int had_nodes, const std::set<int>& ran) {
  if (had_nodes == 0) return take_down(c);
  auto ended = ran.empty() ? stop(c) : Result<void>();
  for (int node = 0; node < c.nodes && !ran.empty(); node++) {
    if (ran.count(node) > 0) continue;
    auto stopped = stop_dev_node(c, node);
    if (stopped.ok() && node >= had_nodes && ran.count(0) > 0) stopped = forget_dev_node(c, node);
    if (ended.ok()) ended = stopped;
  }
  c.nodes = had_nodes;
  TRY(save_dev_cluster(c));
  return ended;
}

Result<void> up(const DevOptions& o) {
  auto begun = std::chrono::steady_clock::now();
  if (!api::is_dns1123_label(o.name) || o.name.size() > kMostName) {
    return make_error(Code::kBadRequest,
                      "a cluster's name has at most 20 lower case letters, digits and '-'");
  }
  if (o.nodes < 0 || o.nodes > kMostNodes) {
    return make_error(Code::kBadRequest, fmt::format("--nodes: want 1 to {}", kMostNodes));
  }
  for (const std::string& p : o.publish) TRY(parse_published(p));
  TRY_ASSIGN(DevCluster c, known_or_new(o));
  int had = c.nodes, wanted = std::max({had, static_cast<int>(o.nodes), 1});
  std::set<int> ran = running_nodes(c);
  if (wanted == had && ran.size() == static_cast<size_t>(had)) {
    std::printf("cluster %s is up already: %d nodes, context %s\n", c.name.c_str(), c.nodes,
                c.context().c_str());
    return {};
  }
  TRY(check_ports(c));
  if (ran.empty()) TRY(check_subnet(c));
  c.nodes = wanted;
  auto done = bring_up(c);
  if (!done.ok()) {
    auto ended = take_back(c, had, ran);
    if (!ended.ok()) std::fprintf(stderr, "knarr: %s\n", ended.error().message.c_str());
    return done;
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::printf("cluster %s is up after %.2f s: %d node%s, context %s\n", c.name.c_str(),
              took.count(), c.nodes, c.nodes == 1 ? "" : "s", c.context().c_str());
  return {};
}

Result<void> end(const DevOptions& o, bool down) {
  std::vector<DevCluster> clusters;
  if (o.all) {
    clusters = list_dev_clusters(o.place);
  } else {
    TRY_ASSIGN(DevCluster one, load_dev_cluster(o.place, o.name));
    clusters.push_back(std::move(one));
  }
  Result<void> all;
  for (const DevCluster& c : clusters) {
    auto ended = down ? take_down(c) : stop(c);
    if (ended.ok()) {
      std::printf("cluster %s is %s\n", c.name.c_str(), down ? "gone" : "stopped");
    } else if (all.ok()) {
      all = make_error(Code::kUnknown, "cluster " + c.name + ": " + ended.error().message);
    } else {
      std::fprintf(stderr, "knarr: cluster %s: %s\n", c.name.c_str(),
                   ended.error().message.c_str());
    }
  }
  return all;
}

Result<void> list(const DevOptions& o) {
  std::string text = "NAME\tNODES\tRUNNING\tADDRESS\tPUBLISHED\n";
  for (const DevCluster& c : list_dev_clusters(o.place)) {
    std::string published;
    for (const std::string& p : c.publish) published += (published.empty() ? "" : ",") + p;
    text += fmt::format("{}\t{}\t{}\t{}\t{}\n", c.name, c.nodes, running_nodes(c).size(),
                        DevNetwork(c).address(0), published);
  }
  std::fputs(kubectl::set_in_columns(text).c_str(), stdout);
  return {};
}

Result<void> import(const DevCluster& c, const std::string& path) {
  for (int node = 0; node < c.nodes; node++) {
    LocalClient client(c.run_of(node));
    auto answer = client.call("POST", "/images/import", json::Value::object({{"path", path}}));
    if (!answer.ok()) {
      return make_error(Code::kUnknown, c.node_name(node) + ": " + answer.error().message);
    }
    if (node > 0) continue;
    for (const json::Value& image : answer->elements()) {
      for (const json::Value& tag : image["repoTags"].elements()) {
        std::printf("%s\n", tag.text().c_str());
      }
    }
  }
  return {};
}

// From docker's or podman's store, through a file.
Result<void> import_named(const DevCluster& c, const std::string& image) {
  std::string why = "no such file, and neither docker nor podman is installed to ask for an image";
  for (const char* name : {"docker", "podman"}) {
    std::string program = base::find_program(name);
    if (program.empty()) continue;
    std::string path = c.data() + "/image.tar";
    unlink(path.c_str());
    TRY_ASSIGN(auto saved, base::run_process({program, "save", "-o", path, image}, ""));
    if (saved.exit_code == 0) {
      auto done = import(c, path);
      unlink(path.c_str());
      return done;
    }
    unlink(path.c_str());
    why = fmt::format("{} save: {}", name, saved.err);
  }
  return make_error(Code::kNotFound, image + ": " + why);
}

// Nodes take files: a folder goes through one.
Result<void> import_folder(const DevCluster& c, const std::string& folder) {
  std::string program = base::find_program("tar");
  if (program.empty()) return make_error(Code::kUnknown, "tar is not installed: give a file");
  std::string path = c.data() + "/image.tar";
  TRY_ASSIGN(auto packed,
             base::run_process(
                 {program, "-C", folder, "-cf", path, "oci-layout", "index.json", "blobs"}, ""));
  auto done = packed.exit_code == 0 ? import(c, path)
                                    : make_error(Code::kUnknown, folder + ": " + packed.err);
  unlink(path.c_str());
  return done;
}

Result<void> load(const DevOptions& o, const std::string& what) {
  TRY_ASSIGN(DevCluster c, load_dev_cluster(o.place, o.name));
  char* real = realpath(what.c_str(), nullptr);
  if (real == nullptr) return import_named(c, what);
  std::string path = real;
  free(real);
  return base::file_exists(path + "/oci-layout") ? import_folder(c, path) : import(c, path);
}

Result<void> logs(const DevOptions& o, const std::string& node) {
  TRY_ASSIGN(DevCluster c, load_dev_cluster(o.place, o.name));
  std::optional<int> number = c.node_of(node);
  if (number) return write_log(c.log_file(*number), o.follow, STDOUT_FILENO);
  return make_error(Code::kNotFound, "cluster " + c.name + " has no node " + node);
}

Result<void> change(const DevOptions& o, const std::string& verb) {
  return verb == "up" ? up(o) : end(o, verb == "down");
}

Result<void> change_without_root(const DevOptions& o, const std::string& verb) {
  DevUserSpace space(o.place.run_root);
  if (!space.kept()) {
    TRY_ASSIGN(int ended, end_dev_orphans(o.place));
    if (ended > 0) {
      std::fputs("knarr: who kept the clusters' namespaces had been killed: all are stopped\n",
                 stderr);
    }
  }
  if (verb == "up" && !enter_delegated_cgroup()) {
    std::fputs("knarr: no cgroups of one's own here: pods have no limits of memory and CPU\n",
               stderr);
  }
  TRY(space.ensure(verb == "up"));
  auto done = space.enter(verb == "up");
  if (done.ok()) done = change(o, verb);
  if (any_dev_cluster_runs(o.place.run_root)) return done;
  TRY(space.end());
  return done;
}

Result<void> run(DevOptions& o, const Args& words) {
  o.place = DevPlace::of_caller(o.dev_dir);
  std::string verb = words.empty() ? "" : words[0];
  size_t most = verb == "logs" ? 3 : verb == "list" ? 1 : 2;
  bool known = verb == "up" || verb == "down" || verb == "stop" || verb == "list" ||
               verb == "load" || verb == "logs";
  if (!known || words.size() > most || (verb == "load" && words.size() < 2)) {
    return make_error(
        Code::kBadRequest,
        "want up, down, stop, list, load IMAGE or logs; `knarr dev --help` says more");
  }
  if (verb == "list") return list(o);
  if (verb != "load" && words.size() > 1) o.name = words[1];
  if (verb == "load") return load(o, words[1]);
  if (verb == "logs") return logs(o, words.size() > 2 ? words[2] : "server");
  DevLock lock;
  TRY(lock.take(o.place.run_root));
  return o.place.rootless ? change_without_root(o, verb) : change(o, verb);
}

}  // namespace

int dev_command(const Args& args) {
  DevOptions options;
  FlagSet flags = dev_flags(options);
  Args words;
  auto read = flags.parse(args, words);
  if (auto status = flags.settled(read)) return *status;
  signal(SIGPIPE, SIG_IGN);
  auto done = run(options, words);
  if (done.ok()) return 0;
  return fail(done.error().message) + (done.error().code == Code::kBadRequest ? 1 : 0);
}

}  // namespace knarr::cli
