"""Prepare JAX: check memory limits, choose the cache, import JAX and find a device."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterator
from typing import Any

from s3net_jax.errors import ConfigError, get_reason
from s3net_jax.interruptions import defer_signals

__all__ = [
    "DRAWS",
    "check_limits",
    "choose_cache",
    "find_gpu_hint",
    "get_platform",
    "is_out_of_memory",
    "load_jax",
    "mend_cache",
    "use_default_settings",
]

DRAWS = "threefry2x32"
"""Generator of the keys made from seeds. It does not depend on ``jax_default_prng_impl``, so a seed
always gives the same result."""

# Below these limits, the libraries that JAX uses end the process with their own messages, or hang.
# They were found with ulimit on Linux (two cores, one image of 32 pixels): a fit succeeds with
# 1100 MB of address space, reports that memory ran out with 1000 MB, and crashes with 800 MB.
_LEAST = {
    "RLIMIT_AS": (1 << 30, "Not enough memory: the address space", "ulimit -v"),
    "RLIMIT_DATA": (1 << 29, "Not enough memory: the data segment", "ulimit -d"),
    "RLIMIT_NOFILE": (32, "The number of open files", "ulimit -n"),
}

_OFF = ("off", "0", "no")
_ON = ("", "on", "1", "yes")
"""Values of ``S3NET_CACHE`` that are not folders."""


def check_limits() -> None:
    """Raise :class:`ConfigError` if a limit of the process is too low for JAX to start."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, (least, what, command) in _LEAST.items():
        number = getattr(resource, name, None)
        limit = resource.RLIM_INFINITY if number is None else resource.getrlimit(number)[0]
        if limit == resource.RLIM_INFINITY or limit >= least:
            continue
        if least < 1 << 20:
            found, needed = f"{limit}", f"{least}"
        else:
            found, needed = f"{limit >> 20} MiB", f"{least >> 20} MiB"
        raise ConfigError(f"{what} is limited to {found} ({command}), and JAX needs {needed}.")


def choose_cache() -> str | None:
    """Set ``JAX_COMPILATION_CACHE_DIR``, the folder that caches compiled programs between runs.

    If ``S3NET_CACHE`` names a folder, that folder is used; if it is ``off``, nothing is cached.
    Otherwise an existing value of ``JAX_COMPILATION_CACHE_DIR`` is kept. The default is a folder in
    the user's cache.

    Returns:
      A sentence if the folder is not writable; None if programs are cached or caching is off.

    Raises:
      ConfigError: ``S3NET_CACHE`` is neither a switch nor a writable folder.
    """
    switch = os.environ.get("S3NET_CACHE", "")
    if switch.lower() in _OFF:
        return None
    chosen = None if switch.lower() in _ON else _read_folder(switch)
    given = chosen or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folder = given or _find_cache_folder()
    if folder is None:
        return "compiled programs are not kept: there is no home folder (set XDG_CACHE_HOME)."
    if "://" not in folder:  # a URL names a bucket
        try:
            os.makedirs(folder, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "permission denied")
        except OSError as error:
            reason = get_reason(error)
            if chosen:
                raise ConfigError(
                    f"S3NET_CACHE={switch} can't be written ({reason}): name another folder, or "
                    "set it to off."
                ) from None
            if given:  # otherwise JAX would print a warning for every program
                os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
            return f"compiled programs are not kept: {folder} can't be written ({reason})."
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    return None


def _read_folder(text: str) -> str:
    """Parse the folder in ``S3NET_CACHE``; raise :class:`ConfigError` if it is not absolute."""
    folder = os.path.expanduser(text)
    # A relative path would mean another folder in each working folder, and "of" is a typo of "off".
    if "://" not in folder and not os.path.isabs(folder):
        raise ConfigError(f"S3NET_CACHE must be on, off or an absolute path, got {text!r}.")
    return folder


def _find_cache_folder() -> str | None:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # Without HOME and without a user entry, expanduser leaves the tilde.
    return os.path.join(base, "s3net-jax") if os.path.isabs(base) else None


def load_jax(*modules: str) -> None:
    """Import JAX and other large modules.

    Args:
      *modules: names of modules to import after JAX.

    Raises:
      MemoryError: memory ran out.
      ConfigError: JAX is not installed, or rejects an environment variable.
    """
    try:
        with defer_signals():
            for name in ("jax", *modules):
                importlib.import_module(name)
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(_shorten_error(error)) from None
        raise ConfigError(
            f"JAX or a module that uses it can't be imported: {_shorten_error(error)}."
        ) from error
    mend_cache()


def get_platform() -> str:
    """Return the platform that JAX computes on: ``cpu``, ``gpu`` or ``tpu``.

    Raises:
      ConfigError: JAX finds no device, for example because ``JAX_PLATFORMS`` is unknown.
      MemoryError: memory ran out.
    """
    import jax

    try:
        return jax.default_backend()
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(_shorten_error(error)) from None
        wanted = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
        reason = _shorten_error(error) if str(error) else "there is no such device"
        raise ConfigError(
            f"JAX can't compute with JAX_PLATFORMS={wanted or ''}: {reason}. Unset it, or set it "
            "to cpu."
        ) from None


def find_gpu_hint() -> str | None:
    """Explain how to use an NVIDIA GPU that JAX does not use.

    Returns:
      A sentence, or None if JAX computes on a GPU or the machine has none.
    """
    present = os.path.exists("/proc/driver/nvidia") or shutil.which("nvidia-smi") is not None
    if not present or get_platform() != "cpu":
        return None
    start = "This machine has an NVIDIA GPU, but JAX computes on the CPU"
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms:
        return f"{start}, because JAX_PLATFORMS is {platforms}: unset it to use the GPU."
    for extra in ("cuda13", "cuda12"):
        if importlib.util.find_spec(f"jax_{extra}_plugin") is not None:
            return (
                f"{start}, although the extra {extra} is installed: check that nvidia-smi lists "
                "the GPU, and that its driver is recent enough."
            )
    return (
        f"{start}, because no CUDA extra is installed: pip install 's3net-jax[cuda13]' "
        "(cuda12 with an older driver)."
    )


@contextlib.contextmanager
def use_default_settings() -> Iterator[None]:
    """Restore JAX's default settings inside a ``with`` block.

    This covers settings that reject valid code (checks of broadcasting, promotion, transfers and
    key reuse) and settings that change the random numbers of a seed.
    """
    import jax

    with (
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.transfer_guard("allow"),
        jax.threefry_partitionable(True),
        jax.debug_key_reuse(False),
    ):
        yield


def mend_cache() -> None:
    """Make JAX delete damaged entries of the compilation cache and compile their programs again.

    Without this, JAX prints a warning in every run and never replaces the entry.
    """
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    try:
        from jax._src import compilation_cache as cache

        load = cache.get_executable_and_time
    except (
        ImportError,
        AttributeError,
    ):  # other versions of JAX: damaged entries remain, without a warning
        return
    if getattr(load, "_mends", False):
        return

    def load_or_delete(key: str, *more: Any, **options: Any) -> Any:
        try:
            return load(key, *more, **options)
        except Exception:
            _delete(key)
            return None, None

    load_or_delete._mends = True  # type: ignore[attr-defined]
    cache.get_executable_and_time = load_or_delete


def _delete(key: str) -> None:
    import jax

    folder = getattr(jax.config, "jax_compilation_cache_dir", None) or ""
    for ending in ("-cache", "-atime"):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, f"{key}{ending}"))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, on the host, a device or by a limit."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in text
        for words in (
            "resource_exhausted",
            "out of memory",
            "cannot allocate memory",
            "failed to map segment",
            "can't start new thread",
            "bad_alloc",
        )
    )


def _shorten_error(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
