"""Name the formats that outlines are exported to, and check that they can be written."""

from __future__ import annotations

from importlib.util import find_spec

from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["EXPORTS", "check_exports", "parse_exports"]

EXPORTS = ("geojson", "coco", "imagej")
"""Formats: GeoJSON for QuPath, COCO JSON for training, ROIs for ImageJ."""

_PACKAGES = {"imagej": "roifile"}


def parse_exports(text: str) -> tuple[str, ...]:
    """Parse a list of formats, separated by commas, into the order of :data:`EXPORTS`.

    Raises:
      ConfigError: a format does not exist.
    """
    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in EXPORTS:
            raise ConfigError(
                f"There is no export format {name!r}.{suggest_nearest(name, EXPORTS)}"
            )
    return tuple(name for name in EXPORTS if name in names)


def check_exports(names: tuple[str, ...]) -> None:
    """Raise :class:`ConfigError` if a format needs a package that is not installed."""
    for name in names:
        package = _PACKAGES.get(name)
        if package is not None and find_spec(package) is None:
            raise ConfigError(
                f"The export format {name} requires {package}: pip install 's3net-jax[export]'."
            )
