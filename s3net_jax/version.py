"""The version of this package, from its installed metadata."""

from __future__ import annotations

from importlib import metadata

__all__ = ["get_package_version"]


def get_package_version() -> str:
    """Return the version of s3net-jax.

    A checkout that runs without being installed (``PYTHONPATH``) has none: ``0+unknown``.
    """
    try:
        return metadata.version("s3net-jax")
    except metadata.PackageNotFoundError:
        return "0+unknown"
