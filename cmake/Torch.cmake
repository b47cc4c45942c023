# The installed torch as imported targets, found by asking the Python that builds.
#
# find_package(Torch) is not used: with a CUDA build of torch it fails where no toolkit stands, even
# for a build without CUDA. Defines KEISEI_TORCH_FOLDER, KEISEI_TORCH_VERSION, KEISEI_TORCH_CUDA
# (empty for a CPU build) and the targets keisei::torch_headers, keisei::torch_stable (the stable
# ABI: what an ops library links) and keisei::torch (all of libtorch, with CUDA where torch has it).

execute_process(
  COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/keisei_torch.py"
  OUTPUT_VARIABLE keisei_torch_facts
  ERROR_VARIABLE keisei_torch_error
  RESULT_VARIABLE keisei_torch_result
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  "${CMAKE_CURRENT_LIST_DIR}/keisei_torch.py")
if(NOT keisei_torch_result EQUAL 0)
  message(FATAL_ERROR "${keisei_torch_error}")
endif()
foreach(name IN ITEMS folder version cuda)
  string(REGEX MATCH "(^|\n)${name}=([^\n]*)" _ "${keisei_torch_facts}")
  string(TOUPPER "${name}" upper)
  set(KEISEI_TORCH_${upper} "${CMAKE_MATCH_2}")
endforeach()
# A build folder that is used again after torch was replaced must relink.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  "${KEISEI_TORCH_FOLDER}/version.py")

add_library(keisei_torch_headers INTERFACE)
add_library(keisei::torch_headers ALIAS keisei_torch_headers)
target_include_directories(keisei_torch_headers SYSTEM INTERFACE
  "${KEISEI_TORCH_FOLDER}/include" "${KEISEI_TORCH_FOLDER}/include/torch/csrc/api/include")

foreach(name IN ITEMS c10 torch_cpu torch c10_cuda torch_cuda)
  set(file "${KEISEI_TORCH_FOLDER}/lib/lib${name}.so")
  if(EXISTS "${file}")
    add_library(keisei_lib_${name} SHARED IMPORTED)
    set_target_properties(keisei_lib_${name} PROPERTIES IMPORTED_LOCATION "${file}")
  elseif(KEISEI_TORCH_CUDA OR NOT name MATCHES "cuda")
    message(FATAL_ERROR "torch ${KEISEI_TORCH_VERSION}: expected ${file}, found no such file")
  endif()
endforeach()

# libtorch_cuda.so needs CUDA libraries that its own rpath finds when it is loaded; the linker need
# not see them.
add_library(keisei_torch_stable INTERFACE)
add_library(keisei::torch_stable ALIAS keisei_torch_stable)
target_compile_definitions(keisei_torch_stable INTERFACE
  TORCH_TARGET_VERSION=0x020b000000000000)
target_link_libraries(keisei_torch_stable INTERFACE keisei_torch_headers keisei_lib_torch_cpu
  keisei_lib_c10)
target_link_options(keisei_torch_stable INTERFACE LINKER:--allow-shlib-undefined)

add_library(keisei_torch INTERFACE)
add_library(keisei::torch ALIAS keisei_torch)
target_link_libraries(keisei_torch INTERFACE keisei_torch_headers keisei_lib_torch
  keisei_lib_torch_cpu keisei_lib_c10)
target_link_options(keisei_torch INTERFACE LINKER:--allow-shlib-undefined)
if(KEISEI_TORCH_CUDA)
  # Nothing of ours names a symbol in them: CUDA registers itself when they are loaded.
  target_link_libraries(keisei_torch INTERFACE
    -Wl,--push-state,--no-as-needed keisei_lib_torch_cuda keisei_lib_c10_cuda -Wl,--pop-state)
endif()
