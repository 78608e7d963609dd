# Warnings are errors; product code is baseline x86-64. Only kernel files get instruction-set flags (see folders.cmake).
add_library(jade_flags INTERFACE)
target_compile_definitions(jade_flags INTERFACE _GNU_SOURCE JADE_VERSION="${PROJECT_VERSION}")
target_include_directories(jade_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_options(jade_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wvla -Wundef -Wpointer-arith -Werror -fno-strict-aliasing
  -fno-omit-frame-pointer -fstack-protector-strong -fvisibility=hidden
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>)

if(JADE_SANITIZE STREQUAL "address")
  set(JADE_SAN_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(JADE_SANITIZE STREQUAL "thread")
  set(JADE_SAN_FLAGS -fsanitize=thread)
elseif(NOT JADE_SANITIZE STREQUAL "")
  message(FATAL_ERROR "JADE_SANITIZE is '${JADE_SANITIZE}'; expected empty, address or thread")
endif()
if(JADE_SAN_FLAGS)
  target_compile_options(jade_flags INTERFACE ${JADE_SAN_FLAGS})
  target_link_options(jade_flags INTERFACE ${JADE_SAN_FLAGS})
endif()
if(JADE_COVERAGE)
  target_compile_options(jade_flags INTERFACE --coverage -O0 -fprofile-update=atomic)
  target_link_options(jade_flags INTERFACE --coverage)
endif()
