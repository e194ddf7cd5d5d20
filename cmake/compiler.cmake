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

# Folders whose time goes to the kernel or that seldom run: a release builds them small, the others
# (the way of a request, from socket to store and back) fast.
set(KNARR_SMALL agent agent/dns agent/network agent/proxy cli runtime runtime/image server/admission
                server/auth server/controllers server/scheduler)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

if(KNARR_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
