#!/bin/bash
# Installs knarr on this machine and starts it: packages, release build, /usr/local/bin/knarr, a service
# (systemd, OpenRC, or a process of its own), and waits until the node is Ready.
#
#   sudo scripts/install.sh [arguments of knarr]      for example: server --tls-san knarr.example
#
# Safe to run again: what has not changed is not touched, and the service restarts only if something has.
# Variables:
#   KNARR_*                  kept for the service in /etc/knarr/knarr.env; KNARR_TOKEN is the secret to
#                            join with, KNARR_URL the server to join (then the command is agent)
#   INSTALL_KNARR_EXEC       the same as the arguments
#   INSTALL_KNARR_SKIP_START install only
#   INSTALL_KNARR_BIN        an executable to install instead of building one
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec sudo -E "$0" "$@"

bin_dir=/usr/local/bin
state=/etc/knarr
log=/var/log/knarr.log
changed=""

say() { echo "knarr: $*"; }
die() { echo "knarr: $*" >&2; exit 1; }

# Copies if the contents differ, and remembers that something changed.
place() {  # MODE SOURCE TARGET
  cmp -s "$2" "$3" && return 0
  mkdir -p "$(dirname "$3")"
  # By a rename: a running executable can't be written over.
  install -m "$1" "$2" "$3.new"
  mv -f "$3.new" "$3"
  changed=1
}

place_text() {  # MODE TARGET, the text on stdin
  local file
  file=$(mktemp)
  cat >"$file"
  place "$1" "$file" "$2"
  rm -f "$file"
}

build() {
  if [ -n "${INSTALL_KNARR_BIN:-}" ]; then
    binary=$INSTALL_KNARR_BIN
    for command in iptables-restore ip curl; do
      command -v $command >/dev/null || { needed; break; }
    done
    return 0
  fi
  scripts/deps.sh build
  cmake --preset release >/dev/null
  cmake --build --preset release --target knarr
  binary=build/release/knarr
  strip -o $binary build/release/src/knarr
}

# Commands that knarr and this script call: Debian's are installed, others are asked for.
needed() {
  command -v apt-get >/dev/null || die "needs iptables, iproute2 and curl: install them first"
  scripts/deps.sh run
}

# What an installed service runs.
command_line() {
  if [ $# -gt 0 ]; then
    echo "$*"
  elif [ -n "${INSTALL_KNARR_EXEC:-}" ]; then
    echo "$INSTALL_KNARR_EXEC"
  elif [ -n "${KNARR_URL:-}" ]; then
    echo agent
  else
    echo server
  fi
}

# Settings given now, else those of the last time.
write_environment() {
  local settings
  # Quoted so that a shell and systemd read the same.
  settings=$(env | grep '^KNARR_' | grep -v '^KNARR_DEPS=' | sort |
    sed -E 's/["\\$`]/\\&/g; s/^([^=]+)=(.*)$/\1="\2"/' || true)
  if [ -n "$settings" ] || [ ! -e $state/knarr.env ]; then
    mkdir -p $state
    place_text 600 $state/knarr.env <<<"$settings"
  fi
}

service_kind() {
  if [ -d /run/systemd/system ]; then
    echo systemd
  elif command -v openrc-run >/dev/null && [ -d /run/openrc ]; then
    echo openrc
  else
    echo none
  fi
}

# The arguments also stand where the scripts that end and remove knarr read where things are.
write_service() {
  place_text 644 $state/arguments <<<"$arguments"
  case $kind in
    systemd) place_text 644 /etc/systemd/system/knarr.service <<END ;;
[Unit]
Description=knarr: a Kubernetes cluster in one executable
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
EnvironmentFile=-$state/knarr.env
ExecStart=$bin_dir/knarr $arguments
# Pods outlive the service: only the main process is its own.
KillMode=process
Delegate=yes
Restart=always
RestartSec=2
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=180
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
END
    openrc) place_text 755 /etc/init.d/knarr <<END ;;
#!/sbin/openrc-run
description="a Kubernetes cluster in one executable"
supervisor=supervise-daemon
command=$bin_dir/knarr
command_args="$arguments"
output_log=$log
error_log=$log
respawn_delay=2
rc_ulimit="-n 1048576"

depend() {
  want net
  after firewall
}

set -o allexport
[ ! -r $state/knarr.env ] || . $state/knarr.env
set +o allexport
END
    none) place_text 755 $bin_dir/knarr-supervise.sh <<END ;;
#!/bin/sh
# Starts knarr, and again whenever it ends, until it is told to stop. Nothing starts this at boot.
echo \$\$ >/run/knarr-supervisor.pid
set -a
[ ! -r $state/knarr.env ] || . $state/knarr.env
set +a
ulimit -n 1048576 2>/dev/null
child=
stop() {
  trap - TERM INT
  [ -z "\$child" ] || { kill -TERM "\$child" 2>/dev/null; wait "\$child"; }
  rm -f /run/knarr-supervisor.pid
  exit 0
}
trap stop TERM INT
while :; do
  $bin_dir/knarr $arguments >>$log 2>&1 </dev/null &
  child=\$!
  wait "\$child"
  sleep 2 &
  child=\$!
  wait "\$child"
done
END
  esac
}

running() {
  case $kind in
    systemd) systemctl is-active -q knarr ;;
    openrc) rc-service -q knarr status >/dev/null 2>&1 ;;
    none) [ -r /run/knarr-supervisor.pid ] &&
      grep -qs knarr-supervise "/proc/$(cat /run/knarr-supervisor.pid)/cmdline" ;;
  esac
}

start() {
  case $kind in
    systemd)
      systemctl daemon-reload
      systemctl enable -q knarr
      systemctl restart knarr || { journalctl -u knarr -n 30 --no-pager; die "did not start"; } ;;
    openrc)
      rc-update -q add knarr default
      rc-service knarr restart ;;
    none)
      if running; then
        local pid
        pid=$(cat /run/knarr-supervisor.pid)
        kill "$pid"
        while [ -e "/proc/$pid" ]; do sleep 0.1; done
      fi
      setsid $bin_dir/knarr-supervise.sh </dev/null >/dev/null 2>&1 &
      ;;
  esac
}

kubeconfig() {
  local given
  given=$(echo " $arguments" | sed -nE 's/.* -o[= ]([^ ]+).*/\1/p')
  echo "${given:-$(scripts/knarr-killall.sh --setting write-kubeconfig $state/knarr.yaml)}"
}

# Asks the API for the node. One that waits for CNI plug-ins of others is as ready as it gets by itself.
# The folder holds the administrator's key: it goes away.
wait_until_ready() {
  local config folder server tries=600
  config=$(kubeconfig)
  folder=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$folder'" EXIT
  until [ -s "$config" ] || [ $((tries -= 1)) = 0 ]; do sleep 0.1; done
  server=$(sed -nE 's/^ *server: *//p' "$config")
  sed -nE 's/^ *certificate-authority-data: *//p' "$config" | base64 -d >"$folder/ca"
  sed -nE 's/^ *client-certificate-data: *//p' "$config" | base64 -d >"$folder/cert"
  sed -nE 's/^ *client-key-data: *//p' "$config" | base64 -d >"$folder/key"
  local ready='"type":"Ready","status":"True"|"status":"True","type":"Ready"|"reason":"KubeletReady"|NetworkPluginNotReady'
  until curl -sS --max-time 10 --cacert "$folder/ca" --cert "$folder/cert" --key "$folder/key" \
    "$server/api/v1/nodes" 2>"$folder/said" | grep -E "$ready" >/dev/null; do
    [ $((tries -= 1)) -gt 0 ] || die "the node is not Ready: $(cat "$folder/said"); see $log"
    sleep 0.1
  done
}

# A machine that joins has no key to ask the API with: it is in when its node answers here.
wait_until_joined() {
  local run_dir tries=600
  run_dir=$(scripts/knarr-killall.sh --setting run-dir /run/knarr)
  until $bin_dir/knarr image list --run-dir "$run_dir" >/dev/null 2>&1; do
    [ $((tries -= 1)) -gt 0 ] || die "this machine has not joined; see $log"
    sleep 0.1
  done
}

arguments=$(command_line "$@")
kind=$(service_kind)
build
"$binary" --help | grep -q "^  ${arguments%% *} " ||
  die "this version has no command '${arguments%% *}'"
place 755 "$binary" $bin_dir/knarr
place 755 scripts/knarr-killall.sh $bin_dir/knarr-killall.sh
place 755 scripts/knarr-uninstall.sh $bin_dir/knarr-uninstall.sh
write_environment
write_service
if [ -n "${INSTALL_KNARR_SKIP_START:-}" ]; then
  say "installed, not started"
  exit 0
fi
if [ -z "$changed" ] && running; then
  say "nothing has changed: it goes on running"
else
  start
fi
case " $arguments " in
  *" --disable-agent "*) ;;
  " agent"*)
    wait_until_joined
    say "this machine is a node of the cluster: \`kubectl get nodes\` on its server shows it"
    say "knarr-killall.sh ends it and all its pods; knarr-uninstall.sh removes it"
    exit 0
    ;;
  *) wait_until_ready ;;
esac
cat <<END

knarr is ready. Try:

  export KUBECONFIG=$(kubeconfig)
  kubectl get nodes
  kubectl create deployment web --image=docker.io/library/nginx --replicas=3
  kubectl expose deployment web --port=80
  kubectl get pods -o wide --watch

knarr-killall.sh ends it and all its pods; knarr-uninstall.sh removes it.
END
