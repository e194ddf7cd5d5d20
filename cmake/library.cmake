# knarr_library(NAME SOURCES a.cc ... LINKS knarr::base ... [PRIVATE_LINKS openssl ...])
#
# The static library of one folder of src ("net", "server/cache": target knarr::server_cache). Its headers are included as "<folder>/x.h", through an
# include root that holds this folder alone: what is not linked can't be included, so the dependency
# table of ARCHITECTURE.md is enforced by the compiler.
function(knarr_library folder)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  set(root ${CMAKE_BINARY_DIR}/include/${name})
  get_filename_component(parent ${root}/${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/${folder} ${root}/${folder} SYMBOLIC)

  add_library(knarr_${name} STATIC ${arg_SOURCES})
  add_library(knarr::${name} ALIAS knarr_${name})
  target_include_directories(knarr_${name} PUBLIC ${root} ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(knarr_${name} PUBLIC ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
  foreach(source ${arg_SOURCES})
    string(REGEX REPLACE "[.]cc$" "" file ${folder}/${source})
    set(flags $<$<CONFIG:Release>:-Os>)
    foreach(fast ${KNARR_FAST})
      if(file MATCHES "^${fast}$")
        set(flags "")
      endif()
    endforeach()
    if(file IN_LIST KNARR_WRAPPERS)
      list(APPEND flags -fexceptions -fasynchronous-unwind-tables -frtti)
    endif()
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${flags}")
  endforeach()
endfunction()

# knarr_test(NAME SOURCES a.cc ... LINKS knarr::api ...): the unit tests of one folder, one binary.
# Tests tagged [root] need privileges and run in scripts/test.sh; [slow] likewise.
function(knarr_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES} $<TARGET_OBJECTS:test_main>)
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/test)
  target_link_libraries(test_${name} PRIVATE ${arg_LINKS} Catch2::Catch2)
  add_test(NAME ${name} COMMAND test_${name} "~[root]~[slow]")
endfunction()
