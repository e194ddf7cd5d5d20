#!/bin/bash
# Builds knarr with sanitizers and runs every test; installs what that needs first.
#
#   sudo scripts/test.sh [--quick] [--vm] [--only PATTERN]
#
#   --quick         leave out what takes long: [slow] cases, fuzzing, the crash test's many rounds
#   --vm            also make a release build and install it in a stock Debian 12 in a virtual machine
#   --only PATTERN  only parts whose name matches: unit-api, integration, fuzz-dns, e2e-services, ...
#
# A line a part, the output of those that failed, and at the end "N passed, N failed": test cases
# where a part counts them, else parts. Logs stay in build/test-logs. That nothing is left on the machine
# (links, mounts, cgroups, iptables rules, processes) is a part as well.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

quick="" only="" vm=""
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    --vm) vm=1 ;;
    --only) only=${2:?--only wants a pattern}; shift ;;
    *) sed -n '2,12s/^# \?//p' "$0"; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo "test.sh: wants root: sudo $0" >&2; exit 2; }

logs=build/test-logs
rm -rf "$logs"
mkdir -p "$logs"
passed=0 failed=0
jobs=${KNARR_JOBS:-$(nproc)}
preset=${KNARR_TEST_PRESET:-asan}  # debug: the same tests without sanitizers and fuzzing
build=build/$preset
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0} UBSAN_OPTIONS=print_stacktrace=1

wanted() { [ -z "$only" ] || [[ $1 =~ $only ]]; }

# How many cases a log tells of: ours end with "N passed, N failed", Catch2 has two forms.
count() {  # LOG -> "PASSED FAILED", or nothing
  sed -nE -e 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' \
    -e 's/^All tests passed \(.* in ([0-9]+) test cases?\)$/\1 0/p' \
    -e 's/^test cases: *([0-9]+) \| *([0-9]+) failed$/0 \2/p' \
    -e 's/^test cases: *([0-9]+) \| *([0-9]+) passed \| *([0-9]+) failed$/\2 \3/p' "$1" | tail -1
}

# A part runs to its end, its output in a log, and is told of. Of parts in the background, as many run at
# once as there are processors, and they are told of in the order they were started, by tell_of_all.
run_part() {  # NAME COMMAND...
  local name=$1 started=$SECONDS status
  shift
  "$@" >"$logs/$name.log" 2>&1 </dev/null
  status=$?
  echo "$status $((SECONDS - started))" >"$logs/$name.status"
}

tell_of() {  # NAME
  local name=$1 status seconds good bad
  read -r status seconds <"$logs/$name.status"
  read -r good bad <<<"$(count "$logs/$name.log")"
  [ -n "$good" ] || { good=$((status == 0)) bad=0; }
  # A program that died after its last good case has failed all the same.
  [ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
  passed=$((passed + good)) failed=$((failed + bad))
  if [ "$bad" = 0 ]; then
    printf 'ok      %-28s %4d cases  %4d s\n' "$name" "$good" "$seconds"
  else
    # What failed may lie far before the end of a log.
    { grep -aE -B 6 -A 10 -m 8 'FAILED:|ERROR: |runtime error: ' "$logs/$name.log"; tail -n 30 "$logs/$name.log"; } |
      sed 's/^/    /'
    printf 'FAILED  %-28s %4d of %d   %4d s   %s\n' "$name" "$bad" $((good + bad)) "$seconds" "$logs/$name.log"
  fi
}

part() {  # NAME COMMAND...
  wanted "$1" || return 0
  run_part "$@"
  tell_of "$1"
}

pending=()
background_part() {  # NAME COMMAND...
  wanted "$1" || return 0
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
  pending+=("$1")
  run_part "$@" &
}

tell_of_all() {
  local name
  wait
  for name in "${pending[@]}"; do tell_of "$name"; done
  pending=()
}

finish() {
  echo "$passed passed, $failed failed"
  [ $failed = 0 ]
  exit
}

# A step without which the others make no sense.
must() {  # NAME COMMAND...
  local name=$1 started=$SECONDS
  shift
  if "$@" >"$logs/$name.log" 2>&1 </dev/null; then
    printf 'ok      %-28s %16d s\n' "$name" $((SECONDS - started))
  else
    grep -aE -m 20 'error:|Error|FAILED' "$logs/$name.log" || tail -n 30 "$logs/$name.log"
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$name"
    finish
  fi
}

trap 'kill $(jobs -rp) 2>/dev/null' EXIT
must packages scripts/deps.sh "$([ -n "$vm" ] && echo vm || echo test)"
# Downloads, while the processors build.
[ -z "$vm" ] || ! wanted vm || run_part vm-image test/vm/run --prepare &
must configure cmake --preset "$preset"
must build ninja -C $build -j "$jobs"
python3 test/e2e/harness/machine.py save "$logs/machine-before"

part tidy scripts/tidy
part format scripts/tidy --format

slow=()
[ -z "$quick" ] || slow=('~[slow]')
for test in $(find $build/test -type f -perm -u+x -name 'test_*' ! -name test_shim | sort); do
  background_part "unit-$(basename "$test" | sed 's/^test_//')" "$test" "${slow[@]}"
done

export KNARR_CRASH_ROUNDS=${KNARR_CRASH_ROUNDS:-$([ -n "$quick" ] && echo 20 || echo 1000)}
for test in $(find $build/test/integration -type f -perm -u+x | sort); do
  background_part "integration-$(basename "$test" | sed 's/_test$//')" timeout 600 "$test"
done
tell_of_all

if [ -z "$quick" ] && [ -d $build/test/fuzz ]; then
  for test in $(find $build/test/fuzz -type f -perm -u+x -name 'fuzz_*' | sort); do
    name=$(basename "$test" | sed 's/^fuzz_//')
    corpus=build/fuzz-corpus/$name
    mkdir -p "$corpus"
    background_part "fuzz-$name" "$test" -max_total_time="${KNARR_FUZZ_SECONDS:-5}" -timeout=10 -verbosity=0 \
      -print_final_stats=0 -artifact_prefix="$logs/fuzz-$name-" "$corpus"
  done
  tell_of_all
fi

if [ -x $build/src/knarr ]; then
  must js-client test/e2e/js/install
  processors=$jobs
  jobs=$((jobs + 1))  # they wait more than they compute
  for case in test/e2e/cases/[a-z]*.py; do
    name=$(basename "$case" .py)
    background_part "e2e-$name" timeout 900 test/e2e/run --knarr $build/src/knarr "^$name\$"
  done
  tell_of_all
  jobs=$processors
fi

# As a user builds it, and as systemd, cgroup v2 alone and a machine without development packages run it.
if [ -n "$vm" ] && wanted vm; then
  must release-build sh -c "cmake --preset release && ninja -C build/release -j $jobs knarr"
  wait
  tell_of vm-image
  part vm timeout 1500 test/vm/run --knarr build/release/src/knarr
fi

part nothing-left python3 test/e2e/harness/machine.py compare "$logs/machine-before"
finish
