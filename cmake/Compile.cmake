# Flags of our own code, as the interface target keisei::flags.

add_library(keisei_flags INTERFACE)
add_library(keisei::flags ALIAS keisei_flags)
target_compile_features(keisei_flags INTERFACE cxx_std_20)
target_include_directories(keisei_flags INTERFACE "${PROJECT_SOURCE_DIR}/csrc")

target_compile_options(keisei_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow>
  # nvcc's own intermediate code is not pedantic.
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow>
  # CPU and CUDA give the same floats: a product and a sum become one operation only where the
  # source says fma.
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>
  $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;-Xcompiler=-ffp-contract=off>
  $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
# gcc 12 sees overlapping copies in every "text" + std::string (its bug 105651).
target_compile_options(keisei_flags INTERFACE
  $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
if(KEISEI_WERROR)
  target_compile_options(keisei_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Werror>
    $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>)
endif()
if(KEISEI_MARCH)
  target_compile_options(keisei_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-march=${KEISEI_MARCH}>)
endif()
if(KEISEI_SANITIZE)
  string(REPLACE ";" "," keisei_sanitizers "${KEISEI_SANITIZE}")
  target_compile_options(keisei_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${keisei_sanitizers};-fno-omit-frame-pointer>)
  target_link_options(keisei_flags INTERFACE -fsanitize=${keisei_sanitizers})
else()
  # A symbol that nothing defines is an error of this build, not of the first call.
  target_link_options(keisei_flags INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,SHARED_LIBRARY>:LINKER:-z,defs>)
endif()
target_link_options(keisei_flags INTERFACE LINKER:--enable-new-dtags LINKER:--as-needed)

# libtorch brings the shared libstdc++ into every process of ours. Some toolchains link it
# statically; then there would be two, and one would free what the other allocated.
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LINK_OPTIONS -l:libstdc++.so.6)
check_cxx_source_compiles("#include <string>
  int main(int n, char**) { return std::to_string(n).empty(); }" KEISEI_SHARED_LIBSTDCXX)
unset(CMAKE_REQUIRED_LINK_OPTIONS)
if(KEISEI_SHARED_LIBSTDCXX)
  target_link_libraries(keisei_flags INTERFACE -l:libstdc++.so.6)
endif()
