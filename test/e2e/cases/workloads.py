"""StatefulSet, DaemonSet, Job, CronJob and namespaces: real containers that end as they should."""
from harness import wait

SET = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: IMAGE/httpd}]}
"""
DAEMON = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: d}
spec:
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: IMAGE/httpd}]}
"""
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: five}
spec:
  completions: 5
  parallelism: 3
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: IMAGE/busybox, command: [sh, -c, "echo done"]}]
"""
CRON = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: c, image: IMAGE/busybox, command: [sh, -c, "echo tick"]}]
"""


def apply(cluster, registry, manifest, *args):
    return cluster.kubectl("apply", *args, "-f", "-", stdin=manifest.replace("IMAGE", registry.address))


def test_stateful_set(cluster, registry):
    apply(cluster, registry, SET)
    cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=60s", timeout=70)
    assert sorted(p["metadata"]["name"] for p in cluster.pods("app=db")) == ["db-0", "db-1"]
    out = cluster.kubectl("exec", "db-0", "--", "nslookup", "db-1.db.default.svc.cluster.local")
    assert cluster.pod("db-1")["status"]["podIP"] in out, out
    first = cluster.pod("db-1")["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "db-1")
    wait.until("db-1 is made anew", lambda: cluster.pod("db-1")["metadata"]["uid"] != first, 60)
    cluster.wait_for("pod/db-1")
    cluster.kubectl("delete", "statefulset", "db")
    wait.until("no pods", lambda: not cluster.pods("app=db"), 60)


def test_daemon_set(cluster, registry):
    apply(cluster, registry, DAEMON)
    cluster.kubectl("rollout", "status", "daemonset/d", "--timeout=60s", timeout=70)
    pods = cluster.pods("app=d")
    assert [p["spec"]["nodeName"] for p in pods] == ["node1"]
    cluster.kubectl("delete", "daemonset", "d")
    wait.until("no pods", lambda: not cluster.pods("app=d"), 60)


def test_job(cluster, registry):
    apply(cluster, registry, JOB)
    cluster.wait_for("job/five", "condition=Complete", 90)
    status = cluster.api.get("/apis/batch/v1/namespaces/default/jobs/five")["status"]
    assert status["succeeded"] == 5 and "active" not in status, status
    pods = cluster.pods("job-name=five")
    assert [p["status"]["phase"] for p in pods] == ["Succeeded"] * 5
    assert cluster.kubectl("logs", "job/five", "--tail=1") == "done\n"


def test_cron_job(cluster, registry):
    apply(cluster, registry, CRON)
    cluster.kubectl("create", "job", "by-hand", "--from=cronjob/tick")
    cluster.wait_for("job/by-hand", "condition=Complete")
    job = cluster.api.watch_until("/apis/batch/v1/namespaces/default/jobs", lambda j:
                                  j["metadata"]["name"] != "by-hand" and
                                  j["metadata"]["name"].startswith("tick-"), 75)
    cluster.wait_for("job/" + job["metadata"]["name"], "condition=Complete")
    cluster.kubectl("delete", "cronjob", "tick")


def test_namespace_empties(cluster, registry):
    cluster.kubectl("create", "namespace", "apart")
    apply(cluster, registry, DAEMON, "-n", "apart")
    cluster.kubectl("rollout", "status", "-n", "apart", "daemonset/d", "--timeout=60s", timeout=70)
    cluster.kubectl("delete", "namespace", "apart", "--timeout=60s", timeout=70)
    status, _ = cluster.api.call("GET", "/api/v1/namespaces/apart")
    assert status == 404, status
    assert cluster.pods(namespace="apart") == []
