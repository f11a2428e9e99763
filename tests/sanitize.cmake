# Configures, builds and runs tests under the address and undefined-behaviour sanitizers; the preset says which.
#   cmake -DSOURCE=... -DBUILD=... -DCXX=... -DCORES=N -P sanitize.cmake
execute_process(COMMAND "${CMAKE_COMMAND}" --preset sanitize -B "${BUILD}" "-DCMAKE_CXX_COMPILER=${CXX}"
  WORKING_DIRECTORY "${SOURCE}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CMAKE_COMMAND}" --build "${BUILD}" --parallel ${CORES} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CMAKE_CTEST_COMMAND}" --test-dir "${BUILD}" --parallel ${CORES} --output-on-failure --no-tests=error
  COMMAND_ERROR_IS_FATAL ANY)
