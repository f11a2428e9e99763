# Installs weft for the consumer projects, which start afresh: nothing of an earlier installation or configuration is left.
#   cmake -DBUILD=... -DCONSUMERS=... -P install.cmake
file(REMOVE_RECURSE "${CONSUMERS}")
execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${CONSUMERS}/prefix" COMMAND_ERROR_IS_FATAL ANY)
