"""What has to hold before JAX can compute: memory to load it, a device, a sound cache."""

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
"""Generator of the keys that seeds become, whatever ``jax_default_prng_impl`` says: a seed names
one result."""

# Limits of a process below which the libraries under JAX end it by messages of their own, or wait
# for ever: found by ulimit on Linux (two cores, one image of 32 pixels), where a fit succeeds with
# 1100 MB of address space, runs out of memory in good order with 1000, and crashes with 800.
_LEAST = {
    "RLIMIT_AS": (1 << 30, "Not enough memory: the address space", "ulimit -v"),
    "RLIMIT_DATA": (1 << 29, "Not enough memory: the data segment", "ulimit -d"),
    "RLIMIT_NOFILE": (32, "The number of open files", "ulimit -n"),
}

_OFF = ("off", "0", "no")
_ON = ("", "on", "1", "yes")
"""What ``S3NET_CACHE`` may be, beside a folder."""


def check_limits() -> None:
    """Raises :class:`ConfigError` if a limit of the process is lower than JAX needs to start."""
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
    """Set ``JAX_COMPILATION_CACHE_DIR``, the folder where compiled programs are kept between runs.

    ``S3NET_CACHE`` names the folder, or is ``off``; otherwise the user's
    ``JAX_COMPILATION_CACHE_DIR`` stays, and without one the folder is in the user's cache.

    Returns:
      A sentence if programs can't be kept there; None if they are kept, or keeping them is off.

    Raises:
      ConfigError: ``S3NET_CACHE`` is neither a switch nor a folder that can be written.
    """
    switch = os.environ.get("S3NET_CACHE", "")
    if switch.lower() in _OFF:
        return None
    chosen = None if switch.lower() in _ON else _read_folder(switch)
    given = chosen or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folder = given or _find_cache_folder()
    if folder is None:
        return "compiled programs are not kept: there is no home folder (set XDG_CACHE_HOME)."
    if "://" not in folder:  # else a bucket
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
            if given:  # JAX would warn of every program
                os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
            return f"compiled programs are not kept: {folder} can't be written ({reason})."
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    return None


def _read_folder(text: str) -> str:
    """Read the folder that ``S3NET_CACHE`` names; raise :class:`ConfigError` if it is none."""
    folder = os.path.expanduser(text)
    # A relative folder would be another one in every working folder, and "of" is a slip for "off".
    if "://" not in folder and not os.path.isabs(folder):
        raise ConfigError(f"S3NET_CACHE must be on, off or an absolute path, got {text!r}.")
    return folder


def _find_cache_folder() -> str | None:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # Without HOME and without an entry among the users the tilde stays.
    return os.path.join(base, "s3net-jax") if os.path.isabs(base) else None


def load_jax(*modules: str) -> None:
    """Imports JAX, and ``modules`` that are large, too.

    Raises:
      MemoryError: there is not enough memory.
      ConfigError: JAX does not understand a variable of the environment, or is not installed.
    """
    try:
        with defer_signals():
            for name in ("jax", *modules):
                importlib.import_module(name)
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(_shorten_error(error)) from None
        raise ConfigError(
            f"JAX, or what is built on it, can't be imported: {_shorten_error(error)}."
        ) from error
    mend_cache()


def get_platform() -> str:
    """What JAX computes on: ``cpu``, ``gpu``, ``tpu``.

    Raises:
      ConfigError: JAX finds no device, such as on an unknown ``JAX_PLATFORMS``.
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
    """Return a sentence if the machine has an NVIDIA GPU that JAX does not use, saying what to do.

    None where JAX computes on a GPU, and where there is none.
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
    """Within the block JAX has its own defaults where a program's settings would only forbid ways
    of writing (broadcasting, promotion, moving arrays to the device, one key for several terms), or
    draw other numbers from the same seed."""
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
    """From now on a damaged entry of the cache of compiled programs is deleted, and its program
    compiled and kept again. JAX itself warns of it in every run, and never replaces it."""
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    try:
        from jax._src import compilation_cache as cache

        load = cache.get_executable_and_time
    except (ImportError, AttributeError):  # another JAX: the entry stays, in silence
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
    """Whether the machine, a device or a limit of the process had no more memory."""
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
