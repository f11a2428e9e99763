# What `cmake --install` puts in place: the headers, the package configuration for find_package(weft), and for pkg-config one module per
# component: weft, weft-io, weft-text, weft-generate.
set(config_directory ${CMAKE_INSTALL_LIBDIR}/cmake/weft)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/weft" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION ${CMAKE_INSTALL_DOCDIR})

foreach(component IN LISTS weft_components)  # an export of its own each, so that a user needs the packages of what is asked for only
  install(TARGETS weft_${component} EXPORT weft-${component})
  install(EXPORT weft-${component} NAMESPACE weft:: DESTINATION ${config_directory})
endforeach()
configure_package_config_file(cmake/weftConfig.cmake.in "${PROJECT_BINARY_DIR}/weftConfig.cmake" INSTALL_DESTINATION ${config_directory}
  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weftConfigVersion.cmake" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/weftConfig.cmake" "${PROJECT_BINARY_DIR}/weftConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/WeftPackages.cmake" DESTINATION ${config_directory})

set(pc_description_core "${PROJECT_DESCRIPTION}")
set(pc_description_io "weft: checkpoints, safetensors and config.json")
set(pc_description_text "weft: byte-level BPE tokenizer and chat template")
set(pc_description_generate "weft: text generation")
foreach(component IN LISTS weft_components)
  set(pc_name weft-${component})
  set(pc_cflags)
  set(pc_libs)
  if(component STREQUAL "core")
    set(pc_name weft)
    set(pc_cflags "-I\${includedir} -std=c++20 -ffp-contract=off -pthread")
    set(pc_libs -pthread)
  endif()
  set(pc_description "${pc_description_${component}}")
  list(TRANSFORM weft_${component}_components PREPEND weft- OUTPUT_VARIABLE pc_requires)
  list(TRANSFORM pc_requires REPLACE "^weft-core$" weft)
  foreach(line IN LISTS weft_${component}_packages)
    string(REPLACE "|" ";" columns "${line}")
    list(GET columns 3 module)
    list(APPEND pc_requires ${module})
  endforeach()
  list(JOIN pc_requires " " pc_requires)
  configure_file(cmake/weft.pc.in "${PROJECT_BINARY_DIR}/${pc_name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${pc_name}.pc" DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/pkgconfig)
endforeach()
