"""Collect the provenance of results: versions, commit, devices, implementations."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from s3net_jax.jax_setup import get_platform as platform_used
from s3net_jax.parallel import count_usable_cores
from s3net_jax.schema import DeviceRecord
from s3net_jax.version import get_package_version

__all__ = [
    "collect_versions",
    "describe_cpu_kernels",
    "describe_devices",
    "find_commit",
    "list_implementations",
]

_CHECKOUT = Path(__file__).parents[1]
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pillow")


def collect_versions() -> dict[str, str]:
    """Return versions by package name, including Python and this package."""
    found = {"s3net-jax": get_package_version(), "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def find_commit() -> str | None:
    """Return the commit of the checkout that this package runs from, or None.

    It is None for an installed package, even if it is installed in another repository or the
    working folder belongs to one, and if git fails.
    """
    if not ((_CHECKOUT / ".git").exists() and _is_own_project(_CHECKOUT / "pyproject.toml")):
        return None
    # Inside a hook of another repository, GIT_DIR and similar variables would redirect git there.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    command = ["git", "-C", str(_CHECKOUT), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.decode("ascii", "replace").strip() if found.returncode == 0 else None


def _is_own_project(path: Path) -> bool:
    try:
        return 'name = "s3net-jax"' in path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False


def describe_devices() -> DeviceRecord:
    """Return the processor, the number of usable threads, and the platform and devices of JAX."""
    import jax

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _find_processor(),
        "threads": count_usable_cores(),
        "backend": platform_used(),
        "devices": [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()],
    }


def describe_cpu_kernels() -> str:
    """Return the instruction set of the compiled CPU kernels, or why they are unavailable."""
    try:
        from s3net_kernels import _native

        name = _native.instruction_set()
        if name is None:
            return _native.unavailable() or "none"
        return name + (", bfloat16 products by AMX" if _native.multiplies_bfloat16() else "")
    except Exception as error:  # see list_implementations()
        return f"none ({type(error).__name__}: {error})"


def list_implementations() -> dict[str, dict[str, str | None]]:
    """Return implementations by operator, each with None or the reason why it is unavailable."""
    try:
        import s3net_kernels

        return s3net_kernels.implementations()
    except Exception as error:  # `s3net info` uses this to diagnose a broken installation
        return {"s3net_kernels": {"any": f"it cannot be loaded ({type(error).__name__}: {error})"}}


def _find_processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
