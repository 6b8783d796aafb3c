# The SIMD levels of the build: name, lanes and compiler flags.  One extension module a level: files
# compiled with different flags that share inline code in one module would break the one-definition rule.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(HSMOE_LEVELS_DEFAULT "base;v3;v4")
else()
  set(HSMOE_LEVELS_DEFAULT "base")
endif()
set(HSMOE_LEVELS "${HSMOE_LEVELS_DEFAULT}" CACHE STRING "SIMD levels to build")

set(HSMOE_LANES_base 2)
set(HSMOE_FLAGS_base "")
set(HSMOE_LANES_v3 4)
set(HSMOE_FLAGS_v3 "-march=x86-64-v3")
set(HSMOE_LANES_v4 8)
set(HSMOE_FLAGS_v4 "-march=x86-64-v4;-mprefer-vector-width=512")

# Flags of every level: errno and traps of floating point are never read, and without them sqrt and
# select become vector instructions.  Nothing here changes a rounding.
set(HSMOE_COMMON_FLAGS -O3 -fno-math-errno -fno-trapping-math -fvisibility=hidden -Wall -Wextra)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  list(APPEND HSMOE_COMMON_FLAGS -Wno-psabi)  # 64-byte vectors never cross a library boundary here
endif()
