"""Record what a table of block sizes was measured on."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import UTC, datetime
from typing import Any

import jax

__all__ = ["facts"]


def facts(command: str) -> dict[str, Any]:
    """Return the command, date, versions and device, for the table's ``metadata``."""
    return {
        "command": command.strip(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in ("s3net-jax", "jax", "jaxlib", "numpy")},
        },
        "devices": [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.local_devices()],
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
        return "unknown"
