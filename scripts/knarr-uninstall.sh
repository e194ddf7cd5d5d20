#!/bin/sh
# Removes knarr from this machine: everything knarr-killall.sh ends, and all its files: what is stored,
# credentials, logs of pods, the service, the executable.
set -u
if [ "$(id -u)" != 0 ]; then
  given=$(env | sed -n 's/^\(\(INSTALL_\)\{0,1\}KNARR_[A-Z0-9_]*\)=.*/\1/p' | tr '\n' , | sed 's/,$//')
  exec sudo ${given:+--preserve-env="$given"} "$0" "$@"
fi
bin_dir=${INSTALL_KNARR_BIN_DIR:-/usr/local/bin}

killall=$(dirname "$0")/knarr-killall.sh
[ -x "$killall" ] || { echo "no $killall, which knows what to remove" >&2; exit 1; }
setting() { "$killall" --setting "$@"; }
data_dir=$(setting data-dir /var/lib/knarr)
run_dir=$(setting run-dir /run/knarr)
log_dir=$(setting log-dir /var/log/pods)

"$killall" --remove-dev

if [ -d /run/systemd/system ]; then
  systemctl disable -q knarr 2>/dev/null
  rm -f /etc/systemd/system/knarr.service
  systemctl daemon-reload
  systemctl reset-failed knarr 2>/dev/null
elif [ -e /etc/init.d/knarr ]; then
  rc-update -q delete knarr default 2>/dev/null
  rm -f /etc/init.d/knarr
fi

# The logs' folder may be shared with another kubelet: ours are those of pods that we know of.
if [ -d "$log_dir" ] && [ ! -d /var/lib/kubelet ]; then
  find "$log_dir" -mindepth 1 -maxdepth 1 -type d |
    grep -E '_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' |
    while read -r folder; do rm -rf "$folder"; done
  rmdir "$log_dir" 2>/dev/null
fi
# What is mounted there is another's. A folder that is a mount point itself is only emptied. The one that
# says where the others are goes last.
stays=
for folder in "$data_dir" "$run_dir" /var/cache/knarr /etc/knarr; do
  [ -z "$stays" ] || [ "$folder" != /etc/knarr ] || continue
  [ -n "$("$killall" --mounts-below "$folder")" ] || rm -rf "$folder" 2>/dev/null
  [ -z "$(ls -A "$folder" 2>/dev/null)" ] || stays="$stays $folder"
done
if [ -n "$stays" ]; then
  echo "not removed, something is mounted below or in use:$stays; try again without" >&2
  exit 1
fi
rm -f /var/log/knarr.log "$bin_dir/knarr" "$bin_dir/knarr-supervise.sh" "$bin_dir/knarr-killall.sh" \
  "$bin_dir/knarr-uninstall.sh"
exit 0
