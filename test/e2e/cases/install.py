"""install.sh without a service manager, again, changed; killall and uninstall leave nothing."""
import os
import signal
import subprocess

from harness import images, machine, process, wait
from harness.cluster import REPO

KUBECONFIG = "/etc/knarr/knarr.yaml"
# What the scripts may write to lies below these: here each is an overlay, whose upper folder shows
# every file that was made.
COVERED = ("/etc", "/usr/local", "/var")


class Machine:
    """Installs into overlays over this machine's folders."""

    def __init__(self, folder, knarr, inside=()):
        self.folder, self.inside = folder, list(inside)
        self.before = machine.state()
        for path in COVERED:
            upper, work = folder + "/upper" + path, folder + "/work" + path
            os.makedirs(upper)
            os.makedirs(work)
            process.run(["mount", "-t", "overlay", "overlay", "-o", "lowerdir=%s,upperdir=%s,workdir=%s"
                         % (path, upper, work), path])
        # Containers' own overlays can't lie on an overlay: their data goes elsewhere.
        self.env = {**os.environ, "INSTALL_KNARR_BIN": knarr, "KNARR_NODE_NAME": "node1",
                    "KNARR_DATA_DIR": folder + "/data", "KNARR_LOG_DIR": folder + "/logs",
                    "KNARR_CGROUP_ROOT": "knarr-e2e-%s-install" % os.environ["KNARR_E2E_ID"]}

    def script(self, path, *args, status=0, **env):
        # The service holds no pipe of ours: it outlives the script.
        with open(self.folder + "/said", "w+") as said:
            ended = subprocess.run([*self.inside, path, *args], env={**self.env, **env}, stdout=said, stderr=said,
                                    stdin=subprocess.DEVNULL, timeout=120).returncode
            said.seek(0)
            text = said.read()
        assert ended == status, text
        return text

    def install(self, *args, **env):
        return self.script(REPO + "/scripts/install.sh", *args, **env)

    def close(self):
        for path in COVERED:
            process.run(["umount", "-l", path], ok=False)

    def files(self):
        """What was made below the covered folders and is still there."""
        found = []
        for top, _, names in os.walk(self.folder + "/upper"):
            for name in names:
                path = os.path.join(top, name)
                whiteout = not os.path.isfile(path) and not os.path.islink(path)
                if not whiteout:
                    found.append(path[len(self.folder + "/upper"):])
        return [f for f in found if "knarr" in f or "/log/pods" in f]


def server_pid():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open("/proc/%s/cmdline" % pid) as file:
            if file.read().startswith("/usr/local/bin/knarr\0server"):
                return int(pid)
    return None


def kubectl(*args):
    return process.run(["kubectl", "--kubeconfig", KUBECONFIG, *args])[0]


def container_id():
    return kubectl("get", "pod", "web", "-o", "jsonpath={.status.containerStatuses[0].containerID}")


def test_install(folder, knarr):
    site = Machine(folder, os.path.abspath(knarr))
    try:
        site.install(INSTALL_KNARR_SKIP_START="1")
        assert server_pid() is None
        said = site.install()
        assert "export KUBECONFIG=" + KUBECONFIG in said, said
        assert os.stat(KUBECONFIG).st_mode & 0o777 == 0o600
        assert kubectl("get", "nodes", "--no-headers").split()[:2] == ["node1", "Ready"]
        run_pod(site, folder)

        first, pod = server_pid(), container_id()
        assert "nothing has changed" in site.install()
        assert server_pid() == first
        site.install(KNARR_NODE_LABEL="shelf=upper")
        assert server_pid() != first
        assert container_id() == pod, "the pod was adopted"

        first = server_pid()
        os.kill(first, signal.SIGKILL)
        wait.until("it is started again", lambda: server_pid() not in (None, first))
        wait.until("it answers", lambda: container_id() == pod)

        # A disk of the administrator's in the data folder is not the scripts' to unmount or empty.
        mine = folder + "/data/my disk"
        os.mkdir(mine)
        process.run(["mount", "-t", "tmpfs", "tmpfs", mine])
        with open(mine + "/file", "w"):
            pass
        site.script("/usr/local/bin/knarr-killall.sh")
        assert os.path.exists(mine + "/file")
        said = site.script("/usr/local/bin/knarr-uninstall.sh", status=1)
        assert folder + "/data" in said, said
        assert os.path.exists(mine + "/file")
        process.run(["umount", mine])
        assert machine.left_behind(site.before | {"mount " + p for p in COVERED}) == []
        assert server_pid() is None
        site.script("/usr/local/bin/knarr-uninstall.sh")
        assert site.files() == []
        assert not os.path.exists(folder + "/data") and not os.path.exists(folder + "/logs")
    finally:
        process.run([REPO + "/scripts/knarr-killall.sh"], env=site.env, ok=False)
        process.run(["umount", "-l", folder + "/data/my disk"], ok=False)
        site.close()


def test_settings(folder, knarr):
    """What the scripts take for knarr's folders is what the service takes for them."""
    site = Machine(folder + "/settings", os.path.abspath(knarr))
    for name in ("KNARR_DATA_DIR", "KNARR_LOG_DIR"):
        del site.env[name]
    killall = "/usr/local/bin/knarr-killall.sh"

    def check(config, want):
        with open("/etc/knarr/config.yaml", "w") as file:
            file.write(config)
        said = site.script(killall, "--setting", "run-dir", "/default")
        assert said == want + "\n", (config, said)
    try:
        os.makedirs("/etc/knarr")
        site.install(INSTALL_KNARR_SKIP_START="1")
        for config, want in (
                ("run-dir: /mnt/k\n", "/mnt/k"), ("run-dir: /mnt/k  # ssd\n", "/mnt/k"),
                ('run-dir: "/mnt/k"  # ssd "2"\n', "/mnt/k"), ("run-dir: '/mnt/k' # ssd\n", "/mnt/k"),
                ("run-dir:   /mnt/a b \n", "/mnt/a b"), ("run-dir: /mnt/k#2\n", "/mnt/k#2"),
                ("run-dir: # none\n", "/default"), ("# run-dir: /mnt/k\n", "/default"),
                ('run-dir: "/mnt/\\"k\\" # 2"\n', '/mnt/"k" # 2'), ('run-dir: ""\n', "/default")):
            check(config, want)
        own = folder + "/own"
        site.install("server", "--data-dir", own + "/data", "--run-dir=%s/run" % own, "--disable-agent",
                     INSTALL_KNARR_SKIP_START="1")
        check("run-dir: /mnt/k\n", own + "/run")
        assert site.script(killall, "--setting", "data-dir", "/default") == own + "/data\n"
        for name in ("data", "run"):
            os.makedirs(own + "/" + name + "/files")
        site.script("/usr/local/bin/knarr-uninstall.sh")
        assert os.listdir(own) == [] and site.files() == []
    finally:
        site.close()


def run_pod(site, folder):
    images.httpd().save(folder + "/httpd.tar", "localhost/httpd:1")
    process.run(["/usr/local/bin/knarr", "image", "import", folder + "/httpd.tar"])
    kubectl("run", "web", "--image=localhost/httpd:1", "--image-pull-policy=Never")
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
