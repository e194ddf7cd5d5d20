"""A machine of its own for a run of tests: namespaces for processes, mounts and network.

Inside, the network has loopback and an uplink into a switch, with a default route that leads nowhere;
links, iptables rules and mounts are the run's own; and when the first process ends, the kernel ends
all others. Cgroups are the machine's: each cluster removes its own.
"""
import glob
import os
import signal
import subprocess
import sys

INSIDE = "KNARR_E2E_INSIDE"
UPLINK, UPLINK6 = "192.0.2.10", "2001:db8::10"
SWITCH = "lan"  # the namespace of a bridge: what the uplink is plugged into, and further machines


def enter():
    """Goes on inside; the process that called stays outside and ends with the status of the other."""
    if os.environ.get(INSIDE):
        return
    os.environ[INSIDE] = "1"
    inside = subprocess.Popen(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                               "--mount-proc", "--propagation", "private", sys.executable, *sys.argv])
    # unshare waits through gentle signals; when it is killed, everything inside is.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: inside.kill())
    status = inside.wait()
    remove_cgroups("knarr-e2e-" + os.environ["KNARR_E2E_ID"])
    sys.exit(status if status >= 0 else 1)


def remove_cgroups(prefix):
    """Those that a run which was cut short has left; no process is in them any more."""
    for root in ["/sys/fs/cgroup"] + glob.glob("/sys/fs/cgroup/*/"):
        for top in glob.glob(os.path.join(root, prefix + "-*")):
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError as error:
                    print("cgroup %s stays: %s" % (folder, error))


def serve_as_init():
    """Call right after enter(): the first process reaps orphans while a child of it runs the tests."""
    child = os.fork()
    if child == 0:
        network()
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            sys.exit(os.waitstatus_to_exitcode(status) & 0xff)


def network():
    # /run is fresh: registered network namespaces and sockets are the run's own.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    # What `ip netns add` would do at the first namespace, and leave.
    os.mkdir("/run/netns")
    subprocess.run(["mount", "--bind", "/run/netns", "/run/netns"], check=True)
    subprocess.run(["mount", "--make-shared", "/run/netns"], check=True)
    # The switch has a namespace of its own: what crosses it is nothing to our iptables rules.
    for command in ("netns add %s" % SWITCH, "-n %s link add %s type bridge" % (SWITCH, SWITCH),
                    "-n %s link set %s up" % (SWITCH, SWITCH), "link set lo up",
                    "link add uplink type veth peer name uplink-end netns %s" % SWITCH,
                    "-n %s link set uplink-end master %s up" % (SWITCH, SWITCH),
                    "address add %s/24 dev uplink" % UPLINK,
                    "address add %s/64 dev uplink nodad" % UPLINK6, "link set uplink up",
                    "route add default via 192.0.2.1", "-6 route add default via 2001:db8::1"):
        subprocess.run(["ip", *command.split()], check=True)
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")
