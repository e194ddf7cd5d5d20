// What a pod machine asks of the rest of the agent. Each is implemented in its own folder, and
// faked in tests. Loop thread; callbacks come once, at once or later, and may come after the
// machine is gone (it guards itself).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "knarr/clock.h"
#include "knarr/runtime.h"

namespace knarr::agent {

template <typename T>
using Callback = std::function<void(Result<T>)>;

// The network of pods (agent/network): an address for a sandbox.
class PodNetwork {
 public:
  virtual ~PodNetwork() = default;
  // Gives the namespace its interface, addresses and routes, publishes host ports. Idempotent: an
  // attached pod gets its addresses again (after a restart of knarr). Answers the addresses.
  virtual void attach(const PodRef& pod, const std::string& sandbox_id, const std::string& netns,
                      Callback<std::vector<std::string>> done) = 0;
  // Frees them. Good for a sandbox that is gone or never was attached.
  virtual void detach(const std::string& sandbox_id, Callback<void> done) = 0;
  // After a restart: what is attached for other sandboxes than these is freed.
  virtual void keep_only(const std::vector<std::string>& sandbox_ids) = 0;
  // Why no pod can be attached now, in the words of the node's condition; empty when they can.
  virtual std::string not_ready() const { return {}; }
  // `changed` is called whenever not_ready() begins or ends to be empty. Once only.
  virtual void on_readiness(std::function<void()> changed) { static_cast<void>(changed); }
};

// The volumes of pods (agent/volumes).
class PodVolumes {
 public:
  virtual ~PodVolumes() = default;
  // Makes every volume of the pod, or finds it made. The error has a kubelet's words
  // ("MountVolume.SetUp failed for volume ..."); the caller tries again.
  virtual void set_up(const PodRef& pod, Callback<void> done) = 0;
  // The pod's object changed. (Changed configMaps and secrets reach their files unasked.)
  virtual void update(const PodRef& pod) = 0;
  // The mounts of one container, its subPaths made; after set_up. subPathExpr uses the environment.
  using Variables = std::vector<std::pair<std::string, std::string>>;
  virtual void mounts(const PodRef& pod, const ContainerSpec& container,
                      const Variables& environment, Callback<std::vector<runtime::Mount>> done) = 0;
  virtual void tear_down(const std::string& pod_uid, Callback<void> done) = 0;
  // After a restart: folders of pods that are not among these are torn down.
  virtual void keep_only(const std::vector<std::string>& pod_uids) = 0;
};

// Builds the configuration of one container (container_config.h): environment, command, files that
// the agent provides (/etc/hosts, resolv.conf, the termination log), resources, security. The
// errors are what CreateContainerConfigError shows.
class ContainerConfigurer {
 public:
  virtual ~ContainerConfigurer() = default;
  struct Input {
    PodRef pod;
    const ContainerSpec* container = nullptr;  // of that pod
    uint32_t attempt = 0;
    runtime::ImageSpec image;
    std::vector<std::string> pod_ips;
    std::string sandbox_id;
    std::string pid_target;  // id of the container that an ephemeral one looks into
  };
  virtual void configure(Input input, Callback<runtime::ContainerConfig> done) = 0;
  // The sandbox's own: host name, DNS, sysctls, cgroup. attempt counts sandboxes of this pod.
  virtual Result<runtime::SandboxConfig> sandbox(const Pod& pod, uint32_t attempt) = 0;
  // What its cgroup gets, from the pod's spec as it is now.
  virtual runtime::Resources resources(const Pod& pod, const ContainerSpec& container) = 0;
  // The termination message a container left (and FallbackToLogsOnError), at most 4096 bytes.
  virtual std::string termination_message(const Pod& pod, const ContainerSpec& container,
                                          const runtime::ContainerStatus& status) = 0;
};

enum class ProbeKind { kStartup, kLiveness, kReadiness };

// How often a probe of a container has had a result.
struct ProbeCount {
  std::string ns, pod, pod_uid, container;
  ProbeKind kind = ProbeKind::kReadiness;
  const char* result = "";  // "successful", "failed", "unknown"
  uint64_t count = 0;
};

// Runs the probes of running containers (agent/probes).
class Prober {
 public:
  virtual ~Prober() = default;
  struct Target {
    PodRef pod;
    const ContainerSpec* container = nullptr;  // of that pod
    std::string container_id;
    std::string pod_ip;
    int64_t started_at_ns = 0;
    // What its probes had said before a restart of knarr.
    bool started = false;
    bool ready = false;
  };
  // Called when a probe's verdict changes, thresholds counted. Readiness and startup start out as
  // the target says, liveness as passed. Liveness and readiness wait for startup. A container
  // without a probe of a kind is never told of that kind.
  using Verdict = std::function<void(ProbeKind kind, bool passed, const std::string& message)>;
  virtual void start(Target target, Verdict verdict) = 0;
  virtual void stop(const std::string& container_id) = 0;
};

// Runs lifecycle handlers (agent/probes): exec, httpGet, tcpSocket, sleep.
class LifecycleHooks {
 public:
  virtual ~LifecycleHooks() = default;
  // `handler` is lifecycle.postStart or lifecycle.preStop. The error is what the event says.
  virtual void run(const Prober::Target& target, const json::Value& handler, int64_t timeout_ms,
                   Callback<void> done) = 0;
};

// Images (agent/images): pull policy, credentials, one pull at a time, back-off of failing ones.
class ImagePuller {
 public:
  virtual ~ImagePuller() = default;
  struct Outcome {
    runtime::ImageSpec image;
    // When not ok: the reason shown as waiting (ErrImagePull, ImagePullBackOff, InvalidImageName,
    // ErrImageNeverPull) and its message; try again after retry_ms.
    std::string reason;
    std::string message;
    int64_t retry_ms = 0;
    bool ok() const { return reason.empty(); }
  };
  // Says "Pulling", "Pulled", "Failed" and "BackOff" as events by itself.
  virtual void ensure(const PodRef& pod, const ContainerSpec& container,
                      std::function<void(Outcome)> done) = 0;
  virtual void forget(const std::string& pod_uid) = 0;
};

// Where statuses go: written to the API, the newest wins, retried until the API has it.
class StatusSink {
 public:
  virtual ~StatusSink() = default;
  virtual void set(const PodRef& pod, json::Value status) = 0;
  // The pod is stopped and cleaned up: delete its object (grace period 0) once its status is
  // written.
  virtual void finish(const PodRef& pod) = 0;
};

// Events of a pod or of one of its containers (field_path "" or ContainerSpec::field_path).
class PodEvents {
 public:
  virtual ~PodEvents() = default;
  virtual void normal(const Pod& pod, const std::string& field_path, std::string_view reason,
                      std::string_view message) = 0;
  virtual void warning(const Pod& pod, const std::string& field_path, std::string_view reason,
                       std::string_view message) = 0;
};

// Whether this node takes the pod at all (resources, ports, sysctls, selectors), or takes it with
// other resources: the kubelet's admission. An empty reason: yes.
struct Admission {
  std::string reason;
  std::string message;
  bool ok() const { return reason.empty(); }
};

// What the pods of a node share.
class NodeRoomBook {
 public:
  virtual ~NodeRoomBook() = default;
  // Whether a running pod may have what its spec asks for now: reason "Infeasible" (never here) or
  // "Deferred" (not now).
  virtual Admission admit_resize(const Pod& pod) = 0;
  // A pod has ended or asks for less: what was deferred may fit.
  virtual void room_changed() = 0;
};

struct PodServices {
  Clock& clock;
  runtime::Runtime& runtime;
  PodNetwork& network;
  PodVolumes& volumes;
  ContainerConfigurer& configurer;
  Prober& prober;
  LifecycleHooks& hooks;
  ImagePuller& images;
  StatusSink& statuses;
  PodEvents& events;
  NodeRoomBook& room;
  std::vector<std::string> host_ips;  // of the node
};

}  // namespace knarr::agent
