# The libraries of ARCHITECTURE.md's dependency table, as imported targets named dep::<library>.
# In a static build each of them is its .a file: the one that scripts/deps.sh made, else Debian's.
set(KNARR_DEPS $ENV{KNARR_DEPS} CACHE PATH "Where scripts/deps.sh put its static libraries")
if(NOT KNARR_DEPS)
  set(KNARR_DEPS /var/cache/knarr/deps)
endif()
if(KNARR_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
  set(trimmed HINTS ${KNARR_DEPS}/lib)
endif()

# dep(NAME LIBRARY HEADER [further libraries it stands on])
function(dep name library header)
  find_library(DEP_${name} NAMES ${library} ${trimmed} REQUIRED)
  find_path(DEP_${name}_INCLUDE ${header} REQUIRED)
  add_library(dep::${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(dep::${name} INTERFACE ${DEP_${name}} ${ARGN})
endfunction()

find_package(Threads REQUIRED)
if(KNARR_STATIC)
  dep(uv uv_a uv.h Threads::Threads dl rt)
else()
  dep(uv uv uv.h)
endif()
dep(crypto crypto openssl/evp.h)
dep(ssl ssl openssl/ssl.h dep::crypto)
dep(nghttp2 nghttp2 nghttp2/nghttp2.h)
dep(sqlite sqlite3 sqlite3.h)
dep(yaml yaml-cpp yaml-cpp/yaml.h)
dep(re2 re2 re2/re2.h Threads::Threads)
dep(z z zlib.h)
dep(zstd zstd zstd.h)
dep(seccomp seccomp seccomp.h)
# Boost.JSON is linked as a static library always: Debian's shared one needs Boost.Container's.
find_library(DEP_boost_container NAMES libboost_container.a boost_container REQUIRED)
dep(json boost_json boost/json.hpp ${DEP_boost_container})
# Debian ships cpp-httplib as a shared library only. scripts/deps.sh builds the static one, with the
# options named here, from Debian's source package into KNARR_DEPS.
find_library(DEP_httplib libcpp-httplib.a PATHS ${KNARR_DEPS}/lib NO_DEFAULT_PATH)
if(NOT DEP_httplib)
  message(FATAL_ERROR "no libcpp-httplib.a in ${KNARR_DEPS}/lib: run scripts/deps.sh")
endif()
add_library(dep::httplib INTERFACE IMPORTED GLOBAL)
target_include_directories(dep::httplib INTERFACE ${KNARR_DEPS}/include)
target_compile_definitions(dep::httplib INTERFACE CPPHTTPLIB_OPENSSL_SUPPORT
                                                  CPPHTTPLIB_ZLIB_SUPPORT)
target_link_libraries(dep::httplib INTERFACE ${DEP_httplib} dep::ssl dep::z Threads::Threads)

# No wslay: it is a shared library only, and its source package is not dependably served. The framing
# of RFC 6455 is small, and lives in src/net/websocket.cc.
