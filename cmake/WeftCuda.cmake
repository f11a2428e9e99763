# What this repository's tests and generator need to compile kernels for CUDA devices.
#
#   weft_enable_cuda()   a macro, for it enables a language in the calling directory, if nvcc is found; sets there
#     WEFT_NVCC          the compiler, or a false value
#     weft_cuda_runs_on  gpu, emulator, or empty: kernels can only be compiled
#
# The emulator replaces the CUDA runtime. The environment variable WEFT_PTXSIM names it where there is no GPU: a folder with a CMakeLists.txt
# whose target is ptxsim_cudart, or a built library.
#
#   weft_cuda_target(<target>)             compiles and links the .cu files of a target, and links what is made of others
#   weft_cuda_models(<target> <model>...)  an object library: models of the generator for devices, their kernels, and the function
#                                          `std::vector<weft::CompiledModel> cuda_models()`. A <model> has run-time sizes and is called
#                                          <head_dim>[:<experts>:<chosen>][:<format>]: 64, 128:f32, 128:60:4, 128:64:8:blocks. The formats are
#                                          bf16, f32, blocks; without one it is bf16.
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

function(weft_cuda_models target)  # ARGN: models
  set(templates "${weft_cuda_directory}/../examples/generate/cuda")
  set(directory "${CMAKE_CURRENT_BINARY_DIR}/models_of_${target}")
  set(elements_of_bf16 weft::bf16)
  set(elements_of_f32 float)
  set(elements_of_blocks weft::any_block)
  set(calls)
  add_library(${target} OBJECT)
  foreach(model IN LISTS ARGN)
    if(NOT model MATCHES "^([0-9]+)(:([0-9]+):([0-9]+))?(:(bf16|f32|blocks))?$")
      message(FATAL_ERROR "'${model}' is no model for CUDA devices: expected head_dim, experts and chosen where there are any, and a format, such as "
        "64, 128:f32 or 128:60:4:bf16")
    endif()
    set(format ${CMAKE_MATCH_6})
    if(NOT format)
      set(format bf16)
    endif()
    set(weft_model "Qwen2Runtime<${CMAKE_MATCH_1}>")
    set(weft_other_layer)
    if(CMAKE_MATCH_2)
      set(weft_model "Qwen2MoeRuntime<${CMAKE_MATCH_1}, ${CMAKE_MATCH_3}, ${CMAKE_MATCH_4}>")
      set(weft_other_layer "template struct weft::cuda::Kernels<weft::OtherLayerProgram<Model, Format>>;\n")
    endif()
    set(weft_storage "Stored<${elements_of_${format}}>")
    string(REGEX REPLACE "[^A-Za-z0-9]+" "_" name "${weft_model}_${format}")
    configure_file("${templates}/kernels.cu.in" "${directory}/${name}.cu" @ONLY)
    target_sources(${target} PRIVATE "${directory}/${name}.cu")
    string(APPEND calls "          weft::compiled_device_model<weft::${weft_model}, weft::${weft_storage}>(),\n")
  endforeach()
  set(weft_model_calls "${calls}")
  configure_file("${templates}/models.cpp.in" "${directory}/models.cpp" @ONLY)
  target_sources(${target} PRIVATE "${directory}/models.cpp")
  target_include_directories(${target} PRIVATE "${templates}/..")
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${weft_developer_flags}>")
  target_link_libraries(${target} PRIVATE weft::generate)
  weft_cuda_target(${target})
endfunction()
