#include <catch2/catch.hpp>

#include "cli/kubectl/describe_text.h"
#include "cli/kubectl/tab_writer.h"
#include "unit/kubectl/value.h"

using namespace knarr::kubectl;

TEST_CASE("labels and annotations, one a line") {
  auto map = yaml("{b: c, a: b, kubectl.kubernetes.io/last-applied-configuration: x}");
  CHECK(set_in_columns(describe_map("Labels", map, "=")) == "Labels:  a=b\n         b=c\n");
  CHECK(set_in_columns(describe_map("Labels", {}, "=")) == "Labels:  <none>\n");
}

TEST_CASE("a pod's page") {
  auto pod = yaml(R"(
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  nodeName: n1
  serviceAccountName: default
  containers:
  - name: httpd
    image: httpd:1
    command: [sh, -c, "a\nb"]
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: 100m}}
    volumeMounts: [{name: v, mountPath: /v, readOnly: true}]
  volumes: [{name: v, emptyDir: {}}]
  tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
status:
  phase: Running
  hostIP: 10.0.0.1
  podIP: 10.42.0.2
  podIPs: [{ip: 10.42.0.2}]
  qosClass: Burstable
  conditions: [{type: Ready, status: "True"}]
  containerStatuses:
  - {name: httpd, containerID: knarr://1, imageID: sha256:2, ready: true, restartCount: 1,
     state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {reason: Error, exitCode: 1}}}
)");
  CHECK(set_in_columns(describe_pod(pod)) ==
        R"(Name:             web
Namespace:        default
Service Account:  default
Node:             n1/10.0.0.1
Labels:           app=web
Annotations:      <none>
Status:           Running
IP:               10.42.0.2
IPs:
  IP:  10.42.0.2
Containers:
  httpd:
    Container ID:  knarr://1
    Image:         httpd:1
    Image ID:      sha256:2
    Port:          80/TCP
    Host Port:     0/TCP
    Command:
      sh
      -c
      a
      b
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       Error
      Exit Code:    1
      Started:      <unset>
      Finished:     <unset>
    Ready:          True
    Restart Count:  1
    Limits:
      cpu:        100m
    Environment:  <none>
    Mounts:
      /v from v (ro)
Conditions:
  Type    Status
  Ready   True 
Volumes:
  v:
    Type:        EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:      
    SizeLimit:   <unset>
QoS Class:       Burstable
Node-Selectors:  <none>
Tolerations:     node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
)");
}

TEST_CASE("events") {
  auto events = yaml(R"(
- {type: Warning, reason: BackOff, message: back-off, firstTimestamp: '1970-01-01T00:00:00Z',
   lastTimestamp: '1970-01-01T00:01:30Z', count: 3, source: {component: kubelet}}
- {type: Normal, reason: Scheduled, message: "assigned", eventTime: '1970-01-01T00:00:00.000000Z',
   reportingComponent: default-scheduler}
)");
  CHECK(set_in_columns(describe_events(events, 100'000'000)) ==
        "Events:\n"
        "  Type     Reason     Age                 From               Message\n"
        "  ----     ------     ----                ----               -------\n"
        "  Normal   Scheduled  100s                default-scheduler  assigned\n"
        "  Warning  BackOff    10s (x3 over 100s)  kubelet            back-off\n");
  CHECK(set_in_columns(describe_events(yaml("[]"), 0)) == "Events:  <none>\n");
}

TEST_CASE("any object as a tree") {
  CHECK(set_in_columns(describe_any(yaml(
            "{kind: Foo, metadata: {name: x, uid: u}, spec: {maxCount: 3, list: [a, {b: c}]}}"))) ==
        "Name:         x\nLabels:       <none>\nAnnotations:  <none>\nKind:         Foo\n"
        "Metadata:\n  UID:  u\nSpec:\n  List:\n    a\n    B:        c\n  Max Count:  3\n");
}
