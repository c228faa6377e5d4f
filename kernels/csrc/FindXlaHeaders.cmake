# Find the headers of XLA's foreign function interface, which every jaxlib ships.
#
# The library reports the interface version it was compiled with, and XLA refuses a version newer
# than its own. `pip install` therefore compiles against the oldest supported jaxlib (the build
# requirement in pyproject.toml); a checkout uses the jaxlib of its own environment.
# `-DS3N_XLA_INCLUDE=DIR` names another folder, the one that contains xla/ffi/api/ffi.h.
set(S3N_XLA_INCLUDE "" CACHE PATH "Folder with xla/ffi/api/ffi.h (default: that of jaxlib)")
set(S3N_XLA_FOUND_IN "S3N_XLA_INCLUDE")
if(NOT S3N_XLA_INCLUDE)
  find_package(Python COMPONENTS Interpreter)
  if(Python_Interpreter_FOUND)
    # The value of jax.ffi.include_dir(), without the seconds that importing jax takes.
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
        "import importlib.util as u; s = u.find_spec('jaxlib'); print((list(s.submodule_search_locations or ()) + [''])[0] if s else '', end='')"
      OUTPUT_VARIABLE S3N_JAXLIB)
    set(S3N_XLA_FOUND_IN "the jaxlib of ${Python_EXECUTABLE}")
    if(S3N_JAXLIB)
      # Do not cache it: the next configuration may have another environment.
      file(TO_CMAKE_PATH "${S3N_JAXLIB}/include" S3N_XLA_INCLUDE)
    endif()
  else()
    set(S3N_XLA_FOUND_IN "any Python (none was found)")
  endif()
endif()
if(NOT EXISTS "${S3N_XLA_INCLUDE}/xla/ffi/api/ffi.h")
  message(FATAL_ERROR "xla/ffi/api/ffi.h was not found in ${S3N_XLA_FOUND_IN}. Install jaxlib in "
          "the environment that builds the kernels, or pass -DS3N_XLA_INCLUDE=DIR.")
endif()
message(STATUS "XLA FFI headers: ${S3N_XLA_INCLUDE}")
