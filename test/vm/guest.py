#!/usr/bin/env python3
"""What runs inside the virtual machine: install.sh under systemd, a cluster used as a person would, a
reboot, and uninstall. Started at every boot; what is done is kept in /srv/test.

Prints a line a test, at the end 'N passed, N failed', and turns the machine off.
"""
import importlib
import inspect
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
import traceback

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = "/srv/test"
sys.path.insert(0, REPO + "/test/e2e")
sys.dont_write_bytecode = True
os.environ.update(PATH=REPO + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                  HOME="/root", INSTALL_KNARR_BIN=REPO + "/bin/knarr")

from harness import images, machine, process, wait  # noqa: E402
from harness.cluster import Installed  # noqa: E402
from harness.registry import Registry  # noqa: E402

# Everything here is slow: a processor is emulated.
PATIENCE = 300
# Written by the system itself while it runs.
RESTLESS = re.compile(r"/(proc|sys|dev|run|tmp|root|opt|srv)(/|$)|/var/(log/journal|lib/systemd|lib/private|tmp|cache/ldconfig)"
                      r"|/etc/(resolv\.conf|mtab|\.updated|machine-id|udev)|/var/(lib/dbus|\.updated)")


def files():
    found = set()
    for top, folders, names in os.walk("/"):
        folders[:] = [f for f in folders if not RESTLESS.match(os.path.join(top, f))]
        found |= {"file " + os.path.join(top, name) for name in names
                  if not RESTLESS.match(os.path.join(top, name))}
    return found


def state():
    """The machine's, without what systemd makes and ends by itself."""
    restless = re.compile(r"cgroup /sys/fs/cgroup/(system|user|init)\.|mount /(run|proc|sys)/")
    return {line for line in machine.state() if not restless.match(line)} | files()


def install():
    return process.run([REPO + "/scripts/install.sh"], timeout=PATIENCE)[0]


def main_pid():
    return int(process.run(["systemctl", "show", "-p", "MainPID", "--value", "knarr"])[0])


def test_machine():
    """What this test is about: systemd, nothing but cgroup v2, iptables on nft."""
    assert os.path.isdir("/run/systemd/system")
    assert os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    assert "nf_tables" in process.run(["iptables", "-V"])[0]


def test_install():
    with open(FOLDER + "/before", "w") as file:
        file.write("\n".join(sorted(state())))
    said = install()
    assert "export KUBECONFIG=/etc/knarr/knarr.yaml" in said, said
    assert process.run(["systemctl", "is-enabled", "knarr"])[0].strip() == "enabled"


def test_install_again():
    before = main_pid()
    assert "nothing has changed" in install()
    assert main_pid() == before


def test_everyday_case():
    """The first case of test/e2e, against this cluster."""
    services = importlib.import_module("cases.services")
    given = {"cluster": Installed(FOLDER + "/everyday"), "registry": Registry(FOLDER + "/registry")}
    try:
        for image, name in ((images.busybox(), "busybox"), (images.httpd(), "httpd")):
            image.push(given["registry"].address, name)
        for name, test in list(vars(services).items()):
            if name.startswith("test_"):
                started = time.monotonic()
                test(**{p: given[p] for p in inspect.signature(test).parameters})
                print("        services.%-48s %6.1f s" % (name, time.monotonic() - started), flush=True)
    finally:
        given["registry"].close()


def running_pod():
    pod = Installed(FOLDER + "/pod").pod("stays")
    status = pod["status"]["containerStatuses"][0]
    return status["containerID"], status["restartCount"], "running" in status["state"]


def test_limits_are_in_the_cgroup():
    """A pod with limits; what its container sees of them in the one hierarchy there is."""
    cluster = Installed(FOLDER + "/pod")
    images.busybox().save(FOLDER + "/busybox.tar", "localhost/busybox:1")
    process.run(["/usr/local/bin/knarr", "image", "import", FOLDER + "/busybox.tar"])
    cluster.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stays"},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "c", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
            "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"],
            "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}}]}}))
    cluster.wait_for("pod/stays", seconds=PATIENCE)
    seen = cluster.kubectl("exec", "stays", "--", "cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cpu.max")
    assert seen.split() == [str(64 << 20), "50000", "100000"], seen


def test_restart_of_the_service():
    before, pid = running_pod(), main_pid()
    process.run(["systemctl", "restart", "knarr"], timeout=PATIENCE)
    assert main_pid() != pid
    Installed(FOLDER + "/pod").kubectl("wait", "node", "--all", "--for=condition=Ready",
                                       "--timeout=%ds" % PATIENCE, timeout=PATIENCE)
    assert running_pod() == before


def test_a_crash_is_mended():
    before, pid = running_pod(), main_pid()
    os.kill(pid, 9)
    wait.until("systemd starts it again", lambda: main_pid() not in (0, pid), PATIENCE)
    wait.until("the pod goes on", lambda: running_pod() == before, PATIENCE)


def test_reboot():
    with open(FOLDER + "/pod-before", "w") as file:
        json.dump(running_pod(), file)


def test_after_the_reboot():
    with open(FOLDER + "/pod-before") as file:
        before = json.load(file)
    wait.until("the pod runs again", lambda: running_pod()[2] and running_pod()[0] != before[0], PATIENCE)
    assert running_pod()[1] == before[1] + 1
    out = Installed(FOLDER + "/pod").kubectl("exec", "stays", "--", "echo", "here")
    assert out == "here\n"


def works(cluster, node, name):
    """A pod of its own runs there, and can be entered."""
    cluster.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [{
            "name": "c", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
            "command": ["sleep", "1000000"]}]}}))
    cluster.wait_for("pod/" + name, seconds=PATIENCE)
    assert cluster.kubectl("exec", name, "--", "echo", "here", timeout=PATIENCE) == "here\n"


def test_dev_without_root():
    """As an ordinary user whom systemd gives cgroups to divide: pods have limits. All ends with it."""
    entry = pwd.getpwnam("dora")
    process.run(["loginctl", "enable-linger", entry.pw_name])
    runtime = "/run/user/%d" % entry.pw_uid
    wait.until("the user's systemd runs", lambda: os.path.exists(runtime + "/systemd/private"), PATIENCE)

    def as_user(*argv):
        return process.run(["runuser", "-u", entry.pw_name, "--", "env", "HOME=" + entry.pw_dir,
                            "XDG_RUNTIME_DIR=" + runtime, *argv], timeout=PATIENCE)
    try:
        out, said, _ = as_user("/usr/local/bin/knarr", "dev", "up")
        assert "cluster dev is up" in out and "no cgroups" not in said, out + said
        os.chmod(FOLDER, 0o755)
        as_user("/usr/local/bin/knarr", "dev", "load", FOLDER + "/busybox.tar")
        as_user("kubectl", "run", "limited", "--image=localhost/busybox:1", "--image-pull-policy=Never",
                "--overrides", json.dumps({"spec": {"containers": [{
                    "name": "limited", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
                    "command": ["sleep", "1000000"], "resources": {"limits": {"memory": "64Mi"}}}]}}))
        as_user("kubectl", "wait", "pod/limited", "--for=condition=Ready", "--timeout=%ds" % PATIENCE)
        out = as_user("kubectl", "exec", "limited", "--", "cat", "/sys/fs/cgroup/memory.max")[0]
        assert out == "%d\n" % (64 << 20), out
    finally:
        as_user("/usr/local/bin/knarr", "dev", "down")
    running = process.run(["pgrep", "-u", entry.pw_name, "-a", "knarr|slirp|sleep"], ok=False)[0]
    assert not running and not os.path.exists(runtime + "/knarr-dev"), running
    shutil.rmtree(entry.pw_dir + "/.kube")
    process.run(["loginctl", "disable-linger", entry.pw_name])


class Dev(Installed):
    """The server of `knarr dev`, by the kubeconfig that it keeps."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.kubeconfig = folder, folder + "/kubeconfig"
        with open("/var/lib/knarr/dev/dev/server/kubeconfig") as file:
            text = file.read()
        with open(self.kubeconfig, "w") as file:
            file.write(text.replace("127.0.0.1", "10.89.100.2"))


def test_clock_ahead():
    """By 400 days, under a server with its node, and under another with an agent: all certificates have
    run out, and nothing is started again."""
    process.run(["/usr/local/bin/knarr", "dev", "up", "--nodes", "2"], timeout=PATIENCE)
    try:
        process.run(["/usr/local/bin/knarr", "dev", "load", FOLDER + "/busybox.tar"], timeout=PATIENCE)
        before, pid = running_pod(), main_pid()
        # The system's own are for files that it writes.
        process.run(["systemctl", "stop", "*.timer"])
        process.run(["date", "--set=@%d" % (time.time() + 400 * 86400)])
        for path, make, nodes in (("installed", Installed, [os.uname().nodename]),
                                  ("dev", Dev, ["dev-server", "dev-agent-1"])):
            wait.until(path + " has new certificates", lambda: "Ready" in make(
                FOLDER + "/clock-" + path).kubectl("get", "nodes"), PATIENCE, every=1)
            cluster = make(FOLDER + "/clock-" + path)
            for node in nodes:
                cluster.wait_for("node/" + node, seconds=PATIENCE)
                works(cluster, node, "after-" + node)
        assert (running_pod(), main_pid()) == (before, pid)
    finally:
        process.run(["/usr/local/bin/knarr", "dev", "down"], timeout=PATIENCE)


def test_uninstall():
    process.run(["/usr/local/bin/knarr-uninstall.sh"], timeout=PATIENCE)
    with open(FOLDER + "/before") as file:
        before = set(file.read().split("\n"))
    left = []

    def nothing_left():
        left[:] = sorted(state() - before)
        return not left
    try:
        wait.until("nothing is left", nothing_left, 20, every=1)
    except wait.TimedOut:
        raise AssertionError("left behind:\n" + "\n".join(left)) from None
    assert process.run(["systemctl", "status", "knarr"], ok=False)[2] == 4, "the unit is gone"


TESTS = [test_machine, test_install, test_install_again, test_everyday_case,
         test_limits_are_in_the_cgroup, test_restart_of_the_service, test_a_crash_is_mended, test_reboot,
         test_after_the_reboot, test_dev_without_root, test_clock_ahead, test_uninstall]


def main():
    """A test whose outcome is known has run before the reboot."""
    os.makedirs(FOLDER, exist_ok=True)
    outcomes_path = FOLDER + "/outcomes"
    outcomes = []
    if os.path.exists(outcomes_path):
        with open(outcomes_path) as file:
            outcomes = json.load(file)
    for test in TESTS[len(outcomes):]:
        started, error = time.monotonic(), ""
        try:
            test()
        except Exception:
            error = traceback.format_exc() + process.run(
                ["journalctl", "-u", "knarr", "-n", "25", "--no-pager"], ok=False)[0]
        print("%s vm.%-53s %6.1f s" % ("FAILED" if error else "ok    ", test.__name__,
                                       time.monotonic() - started), flush=True)
        if error:
            print("    " + error.strip().replace("\n", "\n    "), flush=True)
        outcomes.append(not error)
        with open(outcomes_path, "w") as file:
            json.dump(outcomes, file)
        os.sync()
        if test is test_reboot:
            subprocess.run(["systemctl", "reboot"])
            return
    print("%d passed, %d failed" % (sum(outcomes), len(outcomes) - sum(outcomes)), flush=True)
    subprocess.run(["systemctl", "poweroff"])


if __name__ == "__main__":
    main()
