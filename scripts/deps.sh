#!/bin/bash
# Installs what knarr is built from: Debian 12 packages, and the static libraries that are not linked as
# Debian ships them:
#   cpp-httplib   Debian has a shared library only: built from Debian's own source package
#   SQLite, zstd, RE2   built from Debian's source packages, small and without what knarr does not use
#                 (where no source package is served, Debian's libraries are taken)
#   Boost.JSON    built from its headers, so that what is not used can be left out
#   OpenSSL, ...  Debian's libraries in C, without the tables by which exceptions pass through them
#
#   deps.sh run     what knarr needs to run
#   deps.sh build   that, and what a release build needs (the default)
#   deps.sh test    that, and what the tests need
#   deps.sh vm      that, and what the test in a virtual machine needs
#
# They go to ${KNARR_DEPS:-/var/cache/knarr/deps}, and are made once for each version of the Debian
# package, so that an update of that is followed.
set -euo pipefail

deps=${KNARR_DEPS:-/var/cache/knarr/deps}
what=${1:-build}

run_packages=(iptables iproute2 ca-certificates curl procps)
build_packages=(
  g++ cmake ninja-build lld ccache dpkg-dev pkg-config
  libuv1-dev libssl-dev libnghttp2-dev libsqlite3-dev libyaml-cpp-dev libfmt-dev
  libboost1.81-dev libboost-json1.81-dev libboost-container1.81-dev libre2-dev
  zlib1g-dev libzstd-dev libseccomp-dev libcpp-httplib-dev
  binutils python3 tcl)
test_packages=(
  catch2 clang clang-format clang-tidy libclang-rt-14-dev python3 busybox-static docker-registry
  openssl conntrack containernetworking-plugins kubernetes-client npm util-linux git uidmap slirp4netns)
vm_packages=(debootstrap qemu-system-x86 e2fsprogs)

missing() {
  local package
  for package in "$@"; do
    # A kubectl or npm that is already there serves as well as Debian's.
    [ "$package" = kubernetes-client ] && command -v kubectl >/dev/null && continue
    [ "$package" = npm ] && command -v npm >/dev/null && continue
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
build_httplib() {  # FOLDER VERSION
  fetch_source "cpp-httplib=$2" "$1"
  local src
  src=$(echo "$1"/cpp-httplib-*/)
  (cd "$src" && python3 ./split.py -o "$1/split")
  install -D -m 644 "$1/split/httplib.h" "$deps/include/httplib.h"
  g++ -std=c++17 -Os -ffunction-sections -fdata-sections -DCPPHTTPLIB_OPENSSL_SUPPORT \
    -DCPPHTTPLIB_ZLIB_SUPPORT -I"$1/split" -c "$1/split/httplib.cc" -o "$1/httplib.o"
  ar rcs "$deps/lib/libcpp-httplib.a" "$1/httplib.o"
}

# One thread has a connection (THREADSAFE=2); what is left out are extensions and old interfaces.
trimmed_sqlite() {  # FOLDER
  (cd "$1" && sh sqlite3-*/configure --disable-tcl --disable-readline && make sqlite3.c) >/dev/null &&
    gcc -Os -fno-pie -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
      -D_GNU_SOURCE -DHAVE_FDATASYNC -DHAVE_USLEEP -DHAVE_GMTIME_R -DHAVE_LOCALTIME_R \
      -DHAVE_MALLOC_USABLE_SIZE -DHAVE_PREAD -DHAVE_PWRITE -DSQLITE_THREADSAFE=2 -DSQLITE_DQS=0 \
      -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DSQLITE_MAX_EXPR_DEPTH=0 \
      -DSQLITE_USE_ALLOCA -DSQLITE_OMIT_DEPRECATED -DSQLITE_OMIT_JSON -DSQLITE_OMIT_LOAD_EXTENSION \
      -DSQLITE_OMIT_PROGRESS_CALLBACK -DSQLITE_OMIT_SHARED_CACHE \
      -c "$1/sqlite3.c" -o "$1/sqlite3.o" &&
    ar rcs "$1/libsqlite3.a" "$1/sqlite3.o"
}

# What reads archives: no compression, no formats from before version 0.8.
trimmed_zstd() {  # FOLDER
  (cd "$1" && gcc -O2 -fno-pie -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
    -DZSTD_LEGACY_SUPPORT=0 -c libzstd-*/lib/common/*.c libzstd-*/lib/decompress/*.[cS] &&
    ar rcs libzstd.a ./*.o)
}

# Without exceptions and RTTI, which it does not use. Its tables of Unicode are made with Debian's data
# when that builds the package: they come from Debian's library.
trimmed_re2() {  # FOLDER
  (cd "$1" && g++ -std=c++17 -Os -fno-pie -ffunction-sections -fdata-sections -fno-exceptions \
    -fno-rtti -fno-asynchronous-unwind-tables -DNDEBUG -I"$(echo re2-*/)" \
    -c re2-*/re2/{bitstate,compile,dfa,mimics_pcre,nfa,onepass,parse,prog,re2,regexp,simplify}.cc \
    re2-*/re2/{stringpiece,tostring}.cc re2-*/util/{rune,strutil}.cc &&
    ar x "$(gcc -print-file-name=libre2.a)" unicode_groups.o unicode_casefold.o perl_groups.o &&
    ar rcs libre2.a ./*.o)
}

from_source_or_debian() {  # NAME SOURCE-PACKAGE LIBRARY FOLDER VERSION
  if fetch_source "$2=$5" "$4" && "trimmed_$1" "$4"; then
    mv "$4/lib$3.a" "$deps/lib/lib$3.a"
  else
    echo "deps.sh: $2 $5 could not be built from source; Debian's library is taken" >&2
    without_unwinding "$3"
    complete=
  fi
}

build_sqlite() { from_source_or_debian sqlite sqlite3 sqlite3 "$@"; }
build_zstd() { from_source_or_debian zstd libzstd zstd "$@"; }
build_re2() { from_source_or_debian re2 re2 re2 "$@"; }

build_json() {  # FOLDER
  echo '#include <boost/json/src.hpp>' |
    g++ -std=c++20 -O2 -fno-pie -ffunction-sections -fdata-sections -DBOOST_JSON_STATIC_LINK \
      -x c++ -c - -o "$1/json.o"
  ar rcs "$1/libboost_json.a" "$1/json.o"
  mv "$1/libboost_json.a" "$deps/lib"
}

without_unwinding() {  # LIBRARY...
  local library
  for library in "$@"; do
    objcopy -R .eh_frame -R .rela.eh_frame "$(gcc -print-file-name="lib$library.a")" \
      "$deps/lib/lib$library.a"
  done
}
build_openssl() { without_unwinding ssl crypto; }
build_nghttp2() { without_unwinding nghttp2; }
build_zlib() { without_unwinding z; }
build_seccomp() { without_unwinding seccomp; }
build_uv() { without_unwinding uv_a; }
build_libc() { without_unwinding c; }

static_library() {  # NAME PACKAGE: by build_NAME, unless that was done for this version of PACKAGE
  local stamp=$deps/$1.version version recipe folder complete=yes
  version=$(dpkg-query -W -f '${Version}' "$2")
  recipe=$(cksum <"$0" | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" != "$version $recipe" ] || return 0
  rm -f "$stamp"
  folder=$(mktemp -d)
  "build_$1" "$folder" "$(dpkg-query -W -f '${source:Version}' "$2")"
  rm -rf "$folder"
  [ -z "$complete" ] || echo "$version $recipe" >"$stamp"
}

case $what in
  run) install_packages "${run_packages[@]}"; exit ;;
  build) install_packages "${run_packages[@]}" "${build_packages[@]}" ;;
  test) install_packages "${run_packages[@]}" "${build_packages[@]}" "${test_packages[@]}" ;;
  vm) install_packages "${run_packages[@]}" "${build_packages[@]}" "${test_packages[@]}" "${vm_packages[@]}" ;;
  *) echo "usage: deps.sh [run|build|test|vm]" >&2; exit 2 ;;
esac

mkdir -p "$deps/lib"
static_library httplib libcpp-httplib-dev
static_library sqlite libsqlite3-dev
static_library openssl libssl-dev
static_library nghttp2 libnghttp2-dev
static_library zlib zlib1g-dev
static_library zstd libzstd-dev
static_library re2 libre2-dev
static_library json libboost-json1.81-dev
static_library seccomp libseccomp-dev
static_library uv libuv1-dev
static_library libc libc6-dev
