#!/bin/sh
# Ends everything knarr runs on this machine: the service, all pods, their mounts, links, cgroups and
# iptables rules. What is stored stays: started again, knarr brings the pods back.
#
# Where things are is read from KNARR_* variables, the arguments of the installed service
# (/etc/knarr/arguments), /etc/knarr/knarr.env, /etc/knarr/config.yaml, else the defaults of `knarr server`.
# KNARR_SERVICE=none leaves services alone.
#   knarr-killall.sh --setting FLAG DEFAULT   only prints where that is
#   knarr-killall.sh --mounts-below FOLDER    only prints what is mounted there
#   knarr-killall.sh --remove-dev             removes the clusters of `knarr dev` that are else only stopped
set -u
if [ "$(id -u)" != 0 ]; then
  given=$(env | sed -n 's/^\(KNARR_[A-Z0-9_]*\)=.*/\1/p' | tr '\n' , | sed 's/,$//')
  exec sudo ${given:+--preserve-env="$given"} "$0" "$@"
fi

# A value as YAML and the shell read it: quotes go, and so does a comment behind it.
plain() {
  sed -E -e "s/^'([^']*)'.*/\\1/" -e t \
    -e 's/^"(([^"\\]|\\.)*)".*/\1/' -e tquoted \
    -e 's/(^|[[:space:]])#.*//' -e 's/[[:space:]]+$//' -e b \
    -e :quoted -e 's/\\(.)/\1/g'
}

setting() {  # NAME-OF-FLAG DEFAULT
  variable=KNARR_$(echo "$1" | tr a-z- A-Z_)
  eval "value=\${$variable:-}"
  given=$(sed -E -e 's/^/ /' -e 's/ -d([= ])/ --data-dir\1/g' /etc/knarr/arguments 2>/dev/null)
  [ -n "$value" ] || value=$(echo "$given" | sed -nE "s/.* --$1[= ] *//p" | sed 's/ .*//' | plain)
  config=$(echo "$given" | sed -nE 's/.* (-c|--config)[= ] *([^ ]+).*/\2/p' | plain)
  for file in /etc/knarr/knarr.env "${config:-/etc/knarr/config.yaml}"; do
    [ -n "$value" ] || [ ! -r "$file" ] ||
      value=$(sed -nE "s/^($variable=|$1:[[:space:]]+)//p" "$file" | tail -n 1 | plain)
  done
  echo "${value:-$2}"
}
[ "${1:-}" != --setting ] || { setting "$2" "$3"; exit 0; }

# Strictly below, as mountinfo writes them, where a space stands as \040; the youngest first.
mounts_below() {  # FOLDER
  folder=$([ -d "$1" ] && readlink -f "$1") && [ -n "$folder" ] || return 0
  folder=$(printf '%s' "$folder" | sed 's/\\/\\134/g; s/ /\\040/g')/ \
    awk 'index($5, ENVIRON["folder"]) == 1 { print $5 }' /proc/self/mountinfo | sed '1!G;h;$!d'
}
[ "${1:-}" != --mounts-below ] || { mounts_below "$2"; exit 0; }

data_dir=$(setting data-dir /var/lib/knarr)
run_dir=$(setting run-dir /run/knarr)
bridge=$(setting bridge knarr0)
vxlan=$(setting vxlan-device knarr.1)
cgroup_root=$(setting cgroup-root knarr)
chains=$(setting chain-prefix KNARR)

stop_service() {
  if [ -d /run/systemd/system ]; then
    systemctl stop knarr 2>/dev/null
  elif command -v rc-service >/dev/null && [ -e /etc/init.d/knarr ]; then
    rc-service -q knarr stop
  fi
  # Without a service manager: the process that starts knarr again when it ends.
  if [ -r /run/knarr-supervisor.pid ]; then
    pid=$(cat /run/knarr-supervisor.pid)
    if grep -qs knarr-supervise "/proc/$pid/cmdline"; then
      kill "$pid" && await_end "$pid"
    fi
    rm -f /run/knarr-supervisor.pid
  fi
}

# Clusters of `knarr dev`, which have folders and names of their own. Another knarr's script leaves them.
end_dev_clusters() {  # stop | down
  [ -n "$(find /var/lib/knarr/dev -maxdepth 2 -name cluster.json 2>/dev/null)" ] || return 0
  for knarr in "$(dirname "$0")/knarr" "$(command -v knarr)"; do
    [ -x "$knarr" ] || continue
    "$knarr" dev "$1" --all  # it says what is left
    return 0
  done
  echo "clusters of knarr dev stay: no executable to end them with" >&2
}

await_end() {  # PID...: ten seconds, then no more asking
  tries=100
  for pid in "$@"; do
    while [ -e "/proc/$pid" ] && ! grep -qs '^State:.*Z' "/proc/$pid/status"; do
      tries=$((tries - 1))
      [ $tries -gt 0 ] || { kill -9 "$pid" 2>/dev/null; break; }
      sleep 0.1
    done
  done
}

# Processes that run a knarr with the run folder, or one below it, among their arguments: shims.
shims() {
  for process in /proc/[0-9]*; do
    # The process may have ended: then the shell itself complains that there is no such file.
    case $({ tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null) in
      "knarr "*"$run_dir/"*) echo "${process#/proc/}" ;;
    esac
  done
}

cgroup_folders() {
  find /sys/fs/cgroup -depth -type d -path "*/$cgroup_root*" 2>/dev/null |
    grep -E "^/sys/fs/cgroup/([^/]+/)?$cgroup_root(/|\$)"
}

kill_pods() {
  pids=$(shims)
  # shellcheck disable=SC2086
  [ -z "$pids" ] || { kill -9 $pids 2>/dev/null; await_end $pids; }
  for folder in $(cgroup_folders); do
    for pid in $(cat "$folder/cgroup.procs" 2>/dev/null); do
      [ "$pid" = 0 ] || kill -9 "$pid" 2>/dev/null
    done
  done
}

remove_cgroups() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    folders=$(cgroup_folders)
    [ -n "$folders" ] || return 0
    for folder in $folders; do rmdir "$folder" 2>/dev/null; done
    [ "$try" = 1 ] || sleep 0.2
  done
}

unmount_below() {  # FOLDER
  mounts_below "$1" | while read -r point; do
    point=$(printf '%b' "$point")
    umount "$point" 2>/dev/null || umount -l "$point"
  done
}

remove_links() {
  command -v ip >/dev/null || return 0
  for link in $(ip -o link show master "$bridge" 2>/dev/null | sed -E 's/^[0-9]+: ([^:@]+).*/\1/'); do
    ip link delete "$link"
  done
  ip link delete "$bridge" 2>/dev/null
  ip link delete "$vxlan" 2>/dev/null
  ip link delete "${vxlan}r" 2>/dev/null
  # Routes to the pods of other nodes carry our number, which is nobody else's.
  ip route flush proto 107 2>/dev/null
  ip -6 route flush proto 107 2>/dev/null
}

# To what they were before knarr (agent/network/machine_settings.h), unless another bridge needs them so.
restore_settings() {
  before=$data_dir/agent/network/settings-before
  [ -r "$before" ] && [ -z "$(ip -o link show type bridge 2>/dev/null)" ] || return 0
  while read -r path value; do
    case $path in
      *..*) ;;
      /proc/sys/net/*) [ ! -e "$path" ] || echo "$value" >"$path" ;;
    esac
  done <"$before"
  rm -f "$before"
}

# One transaction a table: jumps into our chains go, then the chains.
remove_rules() {  # iptables | ip6tables
  command -v "$1-save" >/dev/null || return 0
  for table in raw mangle nat filter; do
    rules=$("$1-save" -t "$table" 2>/dev/null) || continue
    ours=$(echo "$rules" | sed -n "s/^:\($chains-[^ ]*\) .*/\1/p")
    [ -n "$ours" ] || continue
    {
      echo "*$table"
      for chain in $ours; do echo ":$chain - [0:0]"; done
      echo "$rules" | grep -v "^-A $chains-" | grep -E -- "-[jg] $chains-" | sed 's/^-A/-D/'
      for chain in $ours; do echo "-X $chain"; done
      echo COMMIT
    } | "$1-restore" -w 5 --noflush
  done
}

if [ "${KNARR_SERVICE:-}" != none ]; then
  stop_service
  how=stop
  [ "${1:-}" != --remove-dev ] || how=down
  end_dev_clusters $how
fi
kill_pods
unmount_below "$run_dir"
unmount_below "$data_dir/agent"  # volumes of pods; mounts elsewhere in the data folder are not ours
remove_links
restore_settings
remove_rules iptables
remove_rules ip6tables
remove_cgroups
left=$(mounts_below "$run_dir")
if [ -n "$left" ]; then
  echo "$run_dir stays, something is mounted below it: $left" >&2
  exit 1
fi
rm -rf "$run_dir"
exit 0
