# Locate the Eigen headers of the build requirement cmeel-eigen and check them against the pin.
#
# Eigen is vendored by pin, not by copy: nothing of it is committed.  The digest is of the sorted list
# "sha256  path" of every file of the Eigen/ tree, so that an edited or other tree stops the build.
# An sdist that carries the tree in _deps/eigen builds without the package.
set(HSMOE_EIGEN_VERSION "3.4.1")
set(HSMOE_EIGEN_DIGEST "4fd6cd435f0861914c4edad1adfc83ea5282a21473bba1391e5cbfa8635d4ade")

function(hsmoe_find_eigen out_include)
  set(candidates "${HSMOE_EIGEN_INCLUDE_DIR}" "${PROJECT_SOURCE_DIR}/_deps/eigen")
  if(Python_EXECUTABLE)
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
              "import importlib.metadata as m; print(m.distribution('cmeel-eigen').locate_file('cmeel.prefix/include/eigen3'))"
      OUTPUT_VARIABLE from_package OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    list(APPEND candidates "${from_package}")
  endif()
  foreach(dir IN LISTS candidates)
    if(dir AND EXISTS "${dir}/Eigen/Core")
      hsmoe_eigen_digest("${dir}" digest)
      if(NOT digest STREQUAL HSMOE_EIGEN_DIGEST)
        message(FATAL_ERROR "The Eigen tree in ${dir} has digest ${digest}, but Eigen ${HSMOE_EIGEN_VERSION} is pinned "
                            "as ${HSMOE_EIGEN_DIGEST}. Install cmeel-eigen==${HSMOE_EIGEN_VERSION}, or update "
                            "cpp/cmake/PinnedEigen.cmake together with the pin in pyproject.toml.")
      endif()
      set(${out_include} "${dir}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "Eigen ${HSMOE_EIGEN_VERSION} not found: pip install cmeel-eigen==${HSMOE_EIGEN_VERSION}, "
                      "or set -DHSMOE_EIGEN_INCLUDE_DIR to the folder that holds Eigen/Core.")
endfunction()

function(hsmoe_eigen_digest dir out)
  file(GLOB_RECURSE files RELATIVE "${dir}" "${dir}/Eigen/*")
  list(SORT files)
  set(lines "")
  foreach(f IN LISTS files)
    file(SHA256 "${dir}/${f}" h)
    string(APPEND lines "${h}  ${f}\n")
  endforeach()
  string(SHA256 d "${lines}")
  set(${out} "${d}" PARENT_SCOPE)
endfunction()
