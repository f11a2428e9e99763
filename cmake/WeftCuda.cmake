# What this repository's tests and generator need to compile kernels for CUDA devices.
#
#   weft_enable_cuda()   a macro, for it enables a language in the calling directory, if nvcc is found; sets there
#     WEFT_NVCC          the compiler, or a false value
#     weft_cuda_runs_on  gpu, emulator, or empty: kernels can only be compiled
#
# The emulator replaces the CUDA runtime. The environment variable WEFT_PTXSIM names it where there is no GPU: a folder with a CMakeLists.txt
# whose target is ptxsim_cudart, or a built library.
#
#   weft_cuda_target(<target>)                     compiles and links the .cu files of a target, and links what is made of others
#   weft_cuda_model_kernels(<target> <head_dim>...) an object library: kernels of the models of the generator
set(weft_cuda_directory "${CMAKE_CURRENT_LIST_DIR}")

macro(weft_enable_cuda)
  find_program(WEFT_NVCC nvcc PATHS /usr/local/cuda/bin)
  mark_as_advanced(WEFT_NVCC)
  set(weft_cuda_runs_on)
  if(WEFT_NVCC)
    if(NOT DEFINED CMAKE_CUDA_COMPILER)
      set(CMAKE_CUDA_COMPILER "${WEFT_NVCC}")
    endif()
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-virtual)  # PTX, which a GPU's driver and the emulator compile themselves
    endif()
    enable_language(CUDA)
    find_package(Threads REQUIRED)
    execute_process(COMMAND nvidia-smi -L OUTPUT_VARIABLE weft_gpus RESULT_VARIABLE weft_gpu_status ERROR_QUIET)
    if(weft_gpu_status EQUAL 0 AND weft_gpus MATCHES "GPU 0")
      set(weft_cuda_runs_on gpu)
    elseif(NOT "$ENV{WEFT_PTXSIM}" STREQUAL "")
      set(weft_cuda_runs_on emulator)
      set(CMAKE_CUDA_RUNTIME_LIBRARY None)
      if(EXISTS "$ENV{WEFT_PTXSIM}/CMakeLists.txt" AND NOT TARGET ptxsim_cudart)
        set(BUILD_TESTING OFF)
        add_subdirectory("$ENV{WEFT_PTXSIM}" "${PROJECT_BINARY_DIR}/emulator" EXCLUDE_FROM_ALL)
      endif()
    endif()
  endif()
endmacro()

function(weft_cuda_target target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-lineinfo>)
  if(weft_cuda_runs_on STREQUAL "emulator")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--no-compress>)
    if(EXISTS "$ENV{WEFT_PTXSIM}/CMakeLists.txt")
      target_link_libraries(${target} PRIVATE ptxsim_cudart)
    else()
      target_link_libraries(${target} PRIVATE "$ENV{WEFT_PTXSIM}" Threads::Threads ${CMAKE_DL_LIBS})
    endif()
  endif()
endfunction()

function(weft_cuda_model_kernels target)  # ARGN: head_dims
  add_library(${target} OBJECT)
  foreach(head_dim IN LISTS ARGN)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/kernels_of_${target}/head_dim_${head_dim}.cu")
    configure_file("${weft_cuda_directory}/../examples/generate/cuda/kernels.cu.in" "${source}" @ONLY)
    target_sources(${target} PRIVATE "${source}")
  endforeach()
  target_link_libraries(${target} PRIVATE weft::weft)
  weft_cuda_target(${target})
endfunction()
