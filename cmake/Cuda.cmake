# Decides whether CUDA kernels are built, says why, and enables the language if so.
#
# Sets KEISEI_HAVE_CUDA, KEISEI_CUDA_REASON (one line for the summary), KEISEI_CUDA_ARCHITECTURES
# and, when CUDA is on, the target keisei::cudart (the runtime that torch itself loads).

set(KEISEI_HAVE_CUDA OFF)
set(KEISEI_CUDA_REASON "")
string(REGEX MATCH "^[0-9]+" keisei_cuda_major "${KEISEI_TORCH_CUDA}")

# The nvcc programs of this machine, in order of preference: PATH, CUDA_HOME, the usual place, pip's.
function(keisei_nvcc_candidates out)
  set(found "")
  set(folders $ENV{PATH})
  string(REPLACE ":" ";" folders "${folders}")
  foreach(variable IN ITEMS CUDACXX)
    if(DEFINED ENV{${variable}})
      list(APPEND found "$ENV{${variable}}")
    endif()
  endforeach()
  foreach(variable IN ITEMS CUDA_HOME CUDA_PATH)
    if(DEFINED ENV{${variable}})
      list(APPEND folders "$ENV{${variable}}/bin")
    endif()
  endforeach()
  list(APPEND folders /usr/local/cuda/bin)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
      "import sys, sysconfig; print(';'.join(dict.fromkeys([sysconfig.get_path('platlib'), *sys.path])))"
    OUTPUT_VARIABLE site OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(KEISEI_TORCH_FOLDER)
    cmake_path(GET KEISEI_TORCH_FOLDER PARENT_PATH beside_torch)
    list(PREPEND site "${beside_torch}")
  endif()
  foreach(folder IN LISTS site)
    file(GLOB pip_bins "${folder}/nvidia/cu*/bin" "${folder}/nvidia/cuda_nvcc/bin")
    list(APPEND folders ${pip_bins})
  endforeach()
  foreach(folder IN LISTS folders)
    if(EXISTS "${folder}/nvcc" AND NOT IS_DIRECTORY "${folder}/nvcc")
      list(APPEND found "${folder}/nvcc")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES found)
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# Try one nvcc: sets <out> to its real path and <reason> to why it does not do, one of them empty.
function(keisei_try_nvcc nvcc out reason)
  set(${out} "" PARENT_SCOPE)
  execute_process(COMMAND "${nvcc}" --version
    OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR NOT text MATCHES "release ([0-9]+)\\.([0-9]+)")
    set(${reason} "${nvcc} does not run" PARENT_SCOPE)
    return()
  endif()
  if(keisei_cuda_major AND NOT CMAKE_MATCH_1 EQUAL keisei_cuda_major)
    set(${reason} "${nvcc} is CUDA ${CMAKE_MATCH_1}.${CMAKE_MATCH_2}" PARENT_SCOPE)
    return()
  endif()
  # Wrapper scripts: CMake looks for the toolkit beside the program it is given.
  execute_process(COMMAND "${nvcc}" --dryrun -c nothing.cu
    OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(text MATCHES "#\\$ TOP=([^\n]*)")
    string(STRIP "${CMAKE_MATCH_1}" top)
    cmake_path(NORMAL_PATH top)
    if(EXISTS "${top}/bin/nvcc")
      cmake_path(SET nvcc NORMALIZE "${top}/bin/nvcc")
    endif()
  endif()
  # A host compiler that nvcc refuses, or a toolkit without headers, is a reason and not an error.
  set(probe "${PROJECT_BINARY_DIR}/probe")
  file(WRITE "${probe}/probe.cu"
    "#include <cuda_runtime.h>\n#include <cub/block/block_reduce.cuh>\n__global__ void probe() {}\nint main() { probe<<<1, 1>>>(); return 0; }\n")
  execute_process(
    COMMAND "${nvcc}" "-ccbin=${CMAKE_CXX_COMPILER}" -std=c++20 -c "${probe}/probe.cu" -o
      "${probe}/probe.o"
    OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    file(WRITE "${probe}/probe.log" "${text}")
    string(REGEX MATCH "[^\n]*([Ee]rror|fatal)[^\n]*" line "${text}")
    set(${reason} "${nvcc} cannot compile with ${CMAKE_CXX_COMPILER}: ${line}" PARENT_SCOPE)
    return()
  endif()
  set(${out} "${nvcc}" PARENT_SCOPE)
endfunction()

# TORCH_CUDA_ARCH_LIST ("8.0;9.0a+PTX") or the default list, as far as this nvcc knows it, in CMake's
# words. The newest also goes in as PTX, for GPUs that come later.
function(keisei_architectures nvcc out)
  set(result "")
  if(DEFINED ENV{TORCH_CUDA_ARCH_LIST} AND NOT "$ENV{TORCH_CUDA_ARCH_LIST}" STREQUAL "")
    string(REGEX REPLACE "[ ,]+" ";" wanted "$ENV{TORCH_CUDA_ARCH_LIST}")
    foreach(arch IN LISTS wanted)
      if(NOT arch MATCHES "^([0-9]+)\\.([0-9][af]?)(\\+PTX)?$")
        message(FATAL_ERROR
          "TORCH_CUDA_ARCH_LIST: expected numbers such as 8.0;9.0a;12.0+PTX, got '${arch}'")
      endif()
      if(CMAKE_MATCH_1 LESS 8)  # the kernels copy asynchronously
        message(FATAL_ERROR "TORCH_CUDA_ARCH_LIST: expected 8.0 or newer, got '${arch}'")
      endif()
      list(APPEND result "${CMAKE_MATCH_1}${CMAKE_MATCH_2}-real")
      if(CMAKE_MATCH_3)
        list(APPEND result "${CMAKE_MATCH_1}${CMAKE_MATCH_2}-virtual")
      endif()
    endforeach()
  else()
    execute_process(COMMAND "${nvcc}" --list-gpu-arch OUTPUT_VARIABLE known)
    foreach(arch IN ITEMS 80 86 89 90 100 120)
      if(known MATCHES "compute_${arch}\n")
        list(APPEND result "${arch}-real")
        set(newest "${arch}")
      endif()
    endforeach()
    list(APPEND result "${newest}-virtual")
    if(KEISEI_CUDA_COMPILE_ONLY)
      set(result "90-real")
    endif()
  endif()
  set(${out} "${result}" PARENT_SCOPE)
endfunction()

if(NOT KEISEI_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "KEISEI_CUDA: expected AUTO, ON or OFF, got '${KEISEI_CUDA}'")
endif()
if(KEISEI_CUDA STREQUAL "OFF" AND NOT KEISEI_CUDA_COMPILE_ONLY)
  set(KEISEI_CUDA_REASON "KEISEI_CUDA=OFF")
elseif(NOT KEISEI_BUILD_OPS AND NOT KEISEI_CUDA_COMPILE_ONLY)
  set(KEISEI_CUDA_REASON "the ops library is not built")
elseif(NOT KEISEI_TORCH_CUDA AND NOT KEISEI_CUDA_COMPILE_ONLY)
  set(KEISEI_CUDA_REASON "torch ${KEISEI_TORCH_VERSION} is a build without CUDA")
else()
  keisei_nvcc_candidates(keisei_candidates)
  set(keisei_refused "")
  set(keisei_nvcc "")
  foreach(candidate IN LISTS keisei_candidates)
    keisei_try_nvcc("${candidate}" keisei_nvcc why)
    if(keisei_nvcc)
      break()
    endif()
    list(APPEND keisei_refused "${why}")
  endforeach()
  if(keisei_nvcc)
    set(KEISEI_HAVE_CUDA ON)
  else()
    if(keisei_refused)
      list(JOIN keisei_refused "; " keisei_refused)
    else()
      set(keisei_refused "no nvcc found on PATH, in CUDA_HOME, in /usr/local/cuda or from pip")
    endif()
    set(KEISEI_CUDA_REASON "${keisei_refused}")
    if(keisei_cuda_major)
      string(APPEND KEISEI_CUDA_REASON
        "; torch ${KEISEI_TORCH_VERSION} needs an nvcc of CUDA ${keisei_cuda_major}: "
        "pip install 'cuda-toolkit[nvcc,cccl]==${KEISEI_TORCH_CUDA}.*'")
    endif()
  endif()
endif()

if(NOT KEISEI_HAVE_CUDA)
  if(KEISEI_CUDA_COMPILE_ONLY)
    message(FATAL_ERROR "KEISEI_CUDA_COMPILE_ONLY: ${KEISEI_CUDA_REASON}")
  elseif(KEISEI_CUDA STREQUAL "ON")
    message(FATAL_ERROR "KEISEI_CUDA=ON: ${KEISEI_CUDA_REASON}")
  endif()
  return()
endif()

# CMake keeps the first CUDA compiler of a build folder.
if(DEFINED CACHE{KEISEI_NVCC} AND NOT KEISEI_NVCC STREQUAL keisei_nvcc)
  message(FATAL_ERROR "${PROJECT_BINARY_DIR}: was configured with ${KEISEI_NVCC}, now "
    "${keisei_nvcc} is chosen; empty the build folder")
endif()
set(KEISEI_NVCC "${keisei_nvcc}" CACHE INTERNAL "The nvcc that this build folder uses")
set(CMAKE_CUDA_COMPILER "${keisei_nvcc}")
set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}")
keisei_architectures("${keisei_nvcc}" KEISEI_CUDA_ARCHITECTURES)
set(CMAKE_CUDA_ARCHITECTURES "${KEISEI_CUDA_ARCHITECTURES}")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
cmake_path(GET keisei_nvcc PARENT_PATH keisei_toolkit)
cmake_path(GET keisei_toolkit PARENT_PATH keisei_toolkit)
# pip's toolkit keeps its libraries in lib, where nvcc does not look by itself.
foreach(folder IN ITEMS lib64 lib)
  if(IS_DIRECTORY "${keisei_toolkit}/${folder}")
    set(ENV{LIBRARY_PATH} "${keisei_toolkit}/${folder}:$ENV{LIBRARY_PATH}")
  endif()
endforeach()
enable_language(CUDA)

execute_process(COMMAND "${keisei_nvcc}" --version OUTPUT_VARIABLE keisei_nvcc_text)
string(REGEX MATCH "V[0-9.]+" keisei_nvcc_version "${keisei_nvcc_text}")
set(KEISEI_CUDA_REASON
  "nvcc ${keisei_nvcc_version} (${keisei_nvcc}) for ${KEISEI_CUDA_ARCHITECTURES}")

add_library(keisei_cudart INTERFACE)
add_library(keisei::cudart ALIAS keisei_cudart)
target_include_directories(keisei_cudart SYSTEM INTERFACE
  ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
if(KEISEI_CUDA_COMPILE_ONLY)
  return()
endif()

# Our kernels share the runtime that torch loads: at run time its name is found loaded already.
cmake_path(GET KEISEI_TORCH_FOLDER PARENT_PATH keisei_site)
file(GLOB keisei_runtime
  "${KEISEI_TORCH_FOLDER}/lib/libcudart*.so*"
  "${keisei_site}/nvidia/cu${keisei_cuda_major}/lib/libcudart.so.${keisei_cuda_major}*"
  "${keisei_site}/nvidia/cuda_runtime/lib/libcudart.so.${keisei_cuda_major}*"
  "${keisei_toolkit}/lib64/libcudart.so.${keisei_cuda_major}*"
  "${keisei_toolkit}/lib/libcudart.so.${keisei_cuda_major}*"
  "${keisei_toolkit}/targets/*/lib/libcudart.so.${keisei_cuda_major}*")
if(NOT keisei_runtime)
  message(FATAL_ERROR "libcudart.so.${keisei_cuda_major}: expected beside torch "
    "(${keisei_site}/nvidia) or in ${keisei_toolkit}, found in neither; KEISEI_CUDA=OFF builds "
    "without CUDA")
endif()
list(GET keisei_runtime 0 keisei_runtime)
target_link_libraries(keisei_cudart INTERFACE "${keisei_runtime}")
