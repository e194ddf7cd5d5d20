"""A `knarr server` with every path, port and name of its own, for one test."""
import contextlib
import os
import re
import shutil
import signal
import subprocess

from harness import api, isolation, process

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
NODE = "node1"


class Process:
    """A knarr of some subcommand, with every path, port and name of its own."""

    def __init__(self, knarr, folder, index=0, inside=()):
        self.knarr, self.folder, self.index = os.path.abspath(knarr), folder, index
        self.inside = list(inside)  # what runs a program in its network namespace
        self.kubelet_port = 10250 + index
        self.data_dir, self.run_dir = folder + "/data", "/run/knarr%d" % index
        self.log_dir = folder + "/logs"
        self.bridge, self.chains = "knarr%d" % index, "KNARR%d" % index
        self.cgroup_root = "knarr-e2e-%s-%d" % (os.environ["KNARR_E2E_ID"], index)
        self.process = None
        os.makedirs(folder, exist_ok=True)

    def launch(self, subcommand, *flags):
        """Returns when it says that it is ready."""
        argv = [*self.inside, self.knarr, subcommand, "--data-dir", self.data_dir,
                "--run-dir", self.run_dir, "--log-dir", self.log_dir,
                "--config", self.folder + "/config.yaml", "--bridge", self.bridge,
                "--cgroup-root", self.cgroup_root, "--chain-prefix", self.chains,
                "--kubelet-port", str(self.kubelet_port), *flags]
        open(self.folder + "/config.yaml", "a").close()
        with process.Notifications(self.folder + "/notify") as told:
            with open(self.folder + "/knarr.log", "a") as log:
                self.process = subprocess.Popen(argv, stdout=log, stderr=log,
                                                stdin=subprocess.DEVNULL,
                                                env={**os.environ, "NOTIFY_SOCKET": told.path})
            if not told.expect("READY=1", self.process):
                raise process.Failed("knarr is not ready:\n" + self.log())

    def log(self, most=3000):
        with open(self.folder + "/knarr.log", errors="replace") as file:
            return file.read()[-most:]

    def stop(self):
        """SIGTERM: it ends, pods stay."""
        status = process.stop(self.process)
        assert status == 0, "knarr ended with status %d:\n%s" % (status, self.log())

    def crash(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def power_cut(self):
        """Everything but the disk is gone."""
        self.crash()
        self.kill_all()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def kill_all(self):
        process.run([*self.inside, REPO + "/scripts/knarr-killall.sh"],
                    env={**os.environ, **self.names()})

    def names(self):
        """What the scripts that clean up must be told."""
        return {"KNARR_DATA_DIR": self.data_dir, "KNARR_RUN_DIR": self.run_dir,
                "KNARR_LOG_DIR": self.log_dir, "KNARR_BRIDGE": self.bridge,
                "KNARR_CGROUP_ROOT": self.cgroup_root, "KNARR_CHAIN_PREFIX": self.chains,
                "KNARR_SERVICE": "none"}

    def close(self):
        """Ends it, in good order if it is running, and everything it started."""
        trouble = None
        try:
            if self.process and self.process.poll() is None:
                self.stop()
        except AssertionError as error:
            trouble = error
        self.kill_all()
        if trouble:
            raise trouble
        report = re.search(r"(?s)(==\d+==ERROR|runtime error:|CHECK failed).*", self.log(1 << 20))
        assert not report, "the log has:\n" + report[0][:3000]

    def import_image(self, image, *names):
        path = self.folder + "/image.tar"
        image.save(path, *names)
        process.run([self.knarr, "image", "import", path, "--run-dir", self.run_dir])


class Cluster(Process):
    """A `knarr server`, and kubectl to it."""

    def __init__(self, knarr, folder, flags=(), index=0):
        super().__init__(knarr, folder, index)
        self.port, self.kubeconfig = 6443 + index, folder + "/kubeconfig"
        self.flags, self.api = list(flags), None
        self.address = isolation.UPLINK

    def with_agent(self):
        return "--disable-agent" not in self.flags

    def start(self):
        """Returns when the API is ready and, with an agent, the node and the default account are."""
        self.start_alone()
        self.api = api.Api(self.kubeconfig, self.folder)
        if self.with_agent():
            self.api.watch_until("/api/v1/nodes", lambda n: api.condition_of(n, "Ready") == "True")
        if "--disable-controller-manager" not in self.flags:
            self.api.watch_until("/api/v1/namespaces/default/serviceaccounts",
                                 lambda a: a["metadata"]["name"] == "default")
        return self

    def start_alone(self):
        """Returns when it serves."""
        self.launch("server", "--write-kubeconfig", self.kubeconfig, "--https-listen-port",
                    str(self.port), "--node-name", NODE, "--node-ip", self.address, *self.flags)

    def token(self):
        with open(self.data_dir + "/server/token") as file:
            return file.read().strip()

    # kubectl, as a person uses it.

    @contextlib.contextmanager
    def exec_open(self, pod):
        """While an exec runs in the pod."""
        held = subprocess.Popen(self.kubectl_argv("exec", pod, "--", "sh", "-c", "echo begun; exec sleep 1000"),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert held.stdout.readline() == "begun\n"
            yield
        finally:
            held.kill()
            held.wait()
            held.stdout.close()

    def kubectl_argv(self, *args, binary="kubectl"):
        return [binary, "--kubeconfig", self.kubeconfig, *args]

    def kubectl(self, *args, stdin=None, ok=True, timeout=60, binary="kubectl"):
        """What it printed; with ok=False what it printed on both outputs, whatever its status."""
        out, err, _ = process.run(self.kubectl_argv(*args, binary=binary), stdin, ok, timeout)
        return out if ok else out + err

    def apply(self, manifest):
        return self.kubectl("apply", "-f", "-", stdin=manifest)

    def terminal(self, *args, binary="kubectl"):
        return process.Terminal(self.kubectl_argv(*args, binary=binary))

    def wait_for(self, thing, what="condition=Ready", seconds=60, namespace="default"):
        try:
            return self.kubectl("wait", "-n", namespace, thing, "--for=" + what,
                                "--timeout=%ds" % seconds, timeout=seconds + 10)
        except process.Failed as error:
            why = self.kubectl("describe", "-n", namespace, thing, ok=False)
            raise process.Failed("%s\n%s" % (error, why[-4000:])) from None

    def pods(self, selector="", namespace="default"):
        path = "/api/v1/namespaces/%s/pods" % namespace
        return self.api.get(path + ("?labelSelector=" + selector if selector else ""))["items"]

    def pod(self, name, namespace="default"):
        return self.api.get("/api/v1/namespaces/%s/pods/%s" % (namespace, name))

    def wait_pod(self, name, condition, seconds=60, namespace="default"):
        return self.api.watch_until("/api/v1/namespaces/%s/pods?fieldSelector=metadata.name=%s" %
                                    (namespace, name), condition, seconds)


class Installed(Cluster):
    """The one that install.sh has set up on this machine. It stays as it is."""

    def __init__(self, folder):
        os.environ.setdefault("KNARR_E2E_ID", str(os.getpid()))
        super().__init__("/usr/local/bin/knarr", folder)
        self.run_dir, self.kubeconfig = "/run/knarr", "/etc/knarr/knarr.yaml"
        self.api = api.Api(self.kubeconfig, folder)
        node = self.api.get("/api/v1/nodes")["items"][0]
        self.address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")

    def close(self):
        pass


def phase_is(*phases):
    return lambda pod: pod["status"].get("phase") in phases


def kubectls():
    """(name, path) of the kubectls on this machine."""
    found = [("kubectl", "kubectl")]
    folder = os.path.dirname(os.path.realpath(subprocess.run(
        ["sh", "-c", "command -v kubectl"], capture_output=True, text=True).stdout.strip()))
    for name in sorted(os.listdir(folder)):
        if re.fullmatch(r"kubectl\.1\.(27|30|33)", name):
            found.append((name, os.path.join(folder, name)))
    return found


