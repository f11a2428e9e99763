# The packages weft stands on, as a table: one line per component and package. The build and the installed package configuration read
# the same table, so that what weft is built with is what its users are asked for. To change a dependency, change its line.
#
#   package | imported target | Debian package | pkg-config module | header | library
#
# A package with a header and a library is looked for by these names; one without is asked by find_package.
set(WEFT_COMPONENTS core io text generate)

set(weft_core_packages
  "Threads|Threads::Threads|libc6-dev|||")
set(weft_io_packages
  "nlohmann_json|nlohmann_json::nlohmann_json|nlohmann-json3-dev|nlohmann_json||")
set(weft_text_packages
  "nlohmann_json|nlohmann_json::nlohmann_json|nlohmann-json3-dev|nlohmann_json||"
  "utf8proc|utf8proc::utf8proc|libutf8proc-dev|libutf8proc|utf8proc.h|utf8proc"
  "PCRE2|PCRE2::8BIT|libpcre2-dev|libpcre2-8|pcre2.h|pcre2-8")
set(weft_generate_packages)

# the components that a component builds on
set(weft_core_components)
set(weft_io_components core)
set(weft_text_components core)
set(weft_generate_components core io text)

# Finds one line of the table. `problem` becomes empty, or a sentence that says what is missing and which Debian package has it.
macro(weft_find_package_line line problem)
  string(REPLACE "|" ";" weft_columns "${line}")
  list(GET weft_columns 0 weft_package)
  list(GET weft_columns 1 weft_target)
  list(GET weft_columns 2 weft_debian)
  list(GET weft_columns 4 weft_header)
  list(GET weft_columns 5 weft_library)
  set(${problem} "")
  if(NOT TARGET ${weft_target})
    if(weft_header)
      find_path(${weft_package}_INCLUDE_DIR ${weft_header})
      find_library(${weft_package}_LIBRARY ${weft_library})
      mark_as_advanced(${weft_package}_INCLUDE_DIR ${weft_package}_LIBRARY)
      if(${weft_package}_INCLUDE_DIR AND ${weft_package}_LIBRARY)
        add_library(${weft_target} UNKNOWN IMPORTED)
        set_target_properties(${weft_target} PROPERTIES
          IMPORTED_LOCATION "${${weft_package}_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${${weft_package}_INCLUDE_DIR}")
      endif()
    else()
      find_package(${weft_package} QUIET)
    endif()
    if(NOT TARGET ${weft_target})
      set(${problem} "${weft_package} was not found (Debian: apt-get install ${weft_debian})")
    endif()
  endif()
endmacro()

# Finds everything a component stands on. `problems` becomes the list of what is missing.
macro(weft_find_component component problems)
  set(${problems})
  foreach(weft_line IN LISTS weft_${component}_packages)
    weft_find_package_line("${weft_line}" weft_problem)
    if(weft_problem)
      list(APPEND ${problems} "${weft_problem}")
    endif()
  endforeach()
endmacro()

# The imported targets of one component's packages.
function(weft_component_targets component result)
  set(targets)
  foreach(line IN LISTS weft_${component}_packages)
    string(REPLACE "|" ";" columns "${line}")
    list(GET columns 1 target)
    list(APPEND targets ${target})
  endforeach()
  set(${result} "${targets}" PARENT_SCOPE)
endfunction()
