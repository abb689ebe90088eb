# How every target is compiled: C++20, warnings are errors, one sanitizer choice for the whole tree.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
set(PERIGEE_SANITIZE "" CACHE STRING "Value of -fsanitize= for every target, or empty")

add_library(compile_rules INTERFACE)
target_include_directories(compile_rules INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_options(compile_rules INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                                               -Werror -fno-omit-frame-pointer)
target_compile_definitions(compile_rules INTERFACE BOOST_ASIO_NO_DEPRECATED)
if(PERIGEE_SANITIZE)
  target_compile_options(compile_rules INTERFACE -fsanitize=${PERIGEE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(compile_rules INTERFACE -fsanitize=${PERIGEE_SANITIZE})
  # ThreadSanitizer does not see fences. Without these Asio counts with boost::detail::atomic_count, which has none,
  # and leaves out those around its handlers, which its mutex orders already.
  if(PERIGEE_SANITIZE STREQUAL "thread")
    target_compile_definitions(compile_rules INTERFACE BOOST_ASIO_DISABLE_STD_ATOMIC BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
else()
  # g++ 12 invents out-of-bounds accesses when it inlines std::vector and std::string at -O2; the
  # sanitizer builds keep these warnings on.
  target_compile_options(compile_rules INTERFACE -Wno-array-bounds -Wno-stringop-overflow -Wno-restrict
                                                 -Wno-maybe-uninitialized)
endif()

configure_file(cmake/version.h.in ${CMAKE_BINARY_DIR}/perigee_version.h @ONLY)

# A library of ours, with our warnings.
function(perigee_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC compile_rules ${arg_LINK})
endfunction()

function(perigee_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE compile_rules ${arg_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()
