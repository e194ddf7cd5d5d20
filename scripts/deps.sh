#!/bin/bash
# Installs what knarr is built from: Debian 12 packages, and a static build of cpp-httplib, which Debian
# ships as a shared library only, made from Debian's own source package.
#
#   deps.sh run     what knarr needs to run
#   deps.sh build   that, and what a release build needs (the default)
#   deps.sh test    that, and what the tests need
#   deps.sh vm      that, and what the test in a virtual machine needs
#
# The static library goes to ${KNARR_DEPS:-/var/cache/knarr/deps} and is made once a version.
set -euo pipefail

deps=${KNARR_DEPS:-/var/cache/knarr/deps}
what=${1:-build}

run_packages=(iptables iproute2 ca-certificates curl procps)
build_packages=(
  g++ cmake ninja-build lld ccache dpkg-dev pkg-config
  libuv1-dev libssl-dev libnghttp2-dev libsqlite3-dev libyaml-cpp-dev libfmt-dev
  libboost1.81-dev libboost-json1.81-dev libboost-container1.81-dev libre2-dev libarchive-dev
  zlib1g-dev libzstd-dev libseccomp-dev libcpp-httplib-dev)
test_packages=(
  catch2 clang clang-format clang-tidy libclang-rt-14-dev python3 busybox-static docker-registry
  openssl conntrack kubernetes-client util-linux git)
vm_packages=(debootstrap qemu-system-x86 e2fsprogs)

missing() {
  local package
  for package in "$@"; do
    # A kubectl that is already there serves as well as Debian's.
    [ "$package" = kubernetes-client ] && command -v kubectl >/dev/null && continue
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' ||
      echo "$package"
  done
}

install_packages() {
  local list
  list=$(missing "$@")
  [ -n "$list" ] || return 0
  apt-get update -q
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $list
}

# A source package is fetched through lists of our own: the machine's sources stay as they are.
fetch_source() {  # PACKAGE FOLDER
  local apt=$2/apt
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
    2>/dev/null >"$apt/all" || true
  sed -nE 's/^deb( |\t)/deb-src\1/p' "$apt/all" >"$apt/sources.list"
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/$(basename "$file")"
  done
  local options=(
    -o "Dir::Etc::SourceList=$apt/sources.list" -o "Dir::Etc::SourceParts=$apt/parts"
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -q
  (cd "$2" && apt-get "${options[@]}" source -q "$1")
}

# Debian splits cpp-httplib into a header and a body: the body is what its shared library holds.
build_httplib() {  # FOLDER
  fetch_source cpp-httplib "$1"
  local src
  src=$(echo "$1"/cpp-httplib-*/)
  (cd "$src" && python3 ./split.py -o "$1/split")
  install -D -m 644 "$1/split/httplib.h" "$deps/include/httplib.h"
  g++ -std=c++17 -O2 -ffunction-sections -fdata-sections -DCPPHTTPLIB_OPENSSL_SUPPORT \
    -DCPPHTTPLIB_ZLIB_SUPPORT -I"$1/split" -c "$1/split/httplib.cc" -o "$1/httplib.o"
  ar rcs "$deps/lib/libcpp-httplib.a" "$1/httplib.o"
}

static_library() {  # NAME BUILD-FUNCTION SOURCE-PACKAGE-VERSION
  local stamp=$deps/$1.version
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$3" ] && return 0
  local folder
  folder=$(mktemp -d)
  "$2" "$folder"
  rm -rf "$folder"
  echo "$3" >"$stamp"
}

case $what in
  run) install_packages "${run_packages[@]}"; exit ;;
  build) install_packages "${run_packages[@]}" "${build_packages[@]}" python3 ;;
  test) install_packages "${run_packages[@]}" "${build_packages[@]}" "${test_packages[@]}" ;;
  vm) install_packages "${run_packages[@]}" "${build_packages[@]}" "${test_packages[@]}" "${vm_packages[@]}" ;;
  *) echo "usage: deps.sh [run|build|test|vm]" >&2; exit 2 ;;
esac

mkdir -p "$deps/lib"
version() { dpkg-query -W -f '${Version}' "$1"; }
static_library cpp-httplib build_httplib "$(version libcpp-httplib-dev)"
