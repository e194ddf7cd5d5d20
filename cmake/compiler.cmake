# Flags every target of knarr is compiled with.
add_compile_options(-Wall -Wextra -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-restrict)  # g++ 12.2 reports a false one in std::string
  # ... and, when it optimises, others in a std::variant that is moved (Result<T>).
  add_compile_options($<$<CONFIG:Release>:-Wno-maybe-uninitialized>)
endif()
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)

find_program(LLD ld.lld)
if(LLD)
  add_link_options(-fuse-ld=lld)
  # Functions that are the same are kept once.
  add_link_options($<$<CONFIG:Release>:-Wl,--icf=all>)
endif()

# What lies on the way of a request (from socket to store and back, lists, watches) a release builds
# fast, everything else small. Regular expressions on <folder>/<source without .cc>.
set(KNARR_FAST
  "base/(json|loop|object)" "server/cache/.*" "api/apply/.*" "api/protobuf/.*"
  "store/watch_set" "store/sqlite/(commit_thread|database|engine|sqlite_store|wal_vfs)"
  "net/(bytes|headers|http1_parser|http1_server|http2_callbacks|http2_server|http2_session)"
  "net/(server|socket.*|tls_engine|turn)"
  "api/(names|object|selector|view/label_match)" "api/schema/(defaults|schema).*"
  "api/validation/(metadata|rules|core)"
  "api/codec/(body|decode|decoder|encode|json_scan|scalars|zero)"
  "server/registry/(list_options|registry|strategy|verbs|write_flow)"
  "server/http/(body|front|front_paths|media|reply.*|request_info|watch_stream)")

# Errors are values, so the executable is built without exceptions, the tables for unwinding and the
# names of types. Only the wrappers of libraries that throw keep all of that: an exception starts in
# the library and ends in the wrapper, and passes nothing else. (Tests throw: where they are built,
# everything keeps it.)
set(KNARR_WRAPPERS
  api/codec/yaml base/json cli/kubectl/http_session net/http1_parser runtime/image/http_client
  runtime/image/registries)
if(KNARR_STATIC AND NOT KNARR_TESTS)
  add_compile_options(-fno-pie -fno-asynchronous-unwind-tables
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions> $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>)
  add_link_options(-no-pie -Wl,-O2)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

if(KNARR_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # The counters that libFuzzer steers by: so one build serves the tests and the fuzz targets.
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
endif()
