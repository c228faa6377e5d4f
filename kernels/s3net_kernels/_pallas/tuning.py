"""Choose block sizes of the Pallas kernels from the device's measured table, or by a heuristic.

A table is a JSON file ``tuned/<device>.json`` with an entry for each measured :class:`Problem`.
A call takes the entry of its own problem; else that of the nearest one in number of pixels and
images, at most a factor of eight away and otherwise equal; else the kernel's heuristic. Entries
missing from the device's table are taken from other devices of its compute capability. Tables are
read from the folder named by ``S3NET_KERNELS_TUNED`` (default: the user's cache folder), where
``python -m s3net_kernels.tune`` writes them, then from those shipped with the package.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from s3net_kernels._config import settings
from s3net_kernels._pallas.device import get_shared_memory, round_to_power

__all__ = [
    "FOLDER",
    "Blocks",
    "Problem",
    "choose",
    "clear_tables",
    "find_capability",
    "find_device",
    "find_user_folder",
    "list_measured",
    "locate_table",
    "look_up",
]

Blocks = Mapping[str, int]
"""Sizes by name; ``num_warps`` and ``num_stages`` configure the launch, the others the kernel."""

FOLDER = Path(__file__).parents[1] / "tuned"
_FAR = 3
"""Largest log2 ratio of pixels or images between a call and the entry it uses: a factor of 8."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """The properties that determine a kernel's best block sizes."""

    kernel: str
    """Kernel as ``<operator>.<direction>``."""
    dtype: str
    """Dtype of the image."""
    images: int
    """Number of images in one launch, including those of every ``vmap`` around it."""
    height: int
    width: int
    channels: int
    features: int = 0
    """Number of output channels, if different from the input's."""
    size: tuple[int, int] = (1, 1)
    """Kernel size (kh, kw)."""
    dilation: int = 1

    @property
    def family(self) -> str:
        """Key of everything but pixels and images; channels are rounded to a power of two."""
        channels, features = round_to_power(self.channels), round_to_power(self.features)
        size = f"k{self.size[0]}x{self.size[1]} d{self.dilation}"
        return f"{self.kernel} {size} c{channels} f{features} {self.dtype}"

    @property
    def extent(self) -> tuple[int, int]:
        """Log2 of the pixels of an image and of the images, rounded up."""
        pixels = self.height * self.width
        return (pixels - 1).bit_length(), (max(self.images, 1) - 1).bit_length()

    @property
    def key(self) -> str:
        """Key of the problem's class in a table."""
        pixels, images = self.extent
        return f"{self.family} p{1 << pixels} n{1 << images}"


def find_device() -> str | None:
    """Return the kind of the first GPU, or None without one."""
    try:
        return jax.devices("gpu")[0].device_kind
    except RuntimeError:
        return None


def find_capability() -> str | None:
    """Return the compute capability of the first GPU, such as ``"9.0"``, or None without one."""
    try:
        return getattr(jax.devices("gpu")[0], "compute_capability", None)
    except RuntimeError:
        return None


def locate_table(device: str, folder: Path = FOLDER) -> Path:
    """Return the path of the table of a kind of device."""
    return folder / f"{re.sub(r'[^a-z0-9]+', '_', device.lower()).strip('_')}.json"


def find_user_folder() -> Path:
    """Return the folder of the tables measured on this machine.

    It is ``$S3NET_KERNELS_TUNED``, or ``s3net-jax/tuned`` in the user's cache folder.
    """
    named = os.environ.get("S3NET_KERNELS_TUNED")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "s3net-jax" / "tuned"


@functools.cache
def _read_tables(device: str) -> dict[str, dict[str, int]]:
    """Read block sizes by key; return an empty dict without a readable table."""
    folders = [find_user_folder(), FOLDER]
    capability = find_capability()
    found: dict[str, dict[str, int]] = {}
    for path in (p for folder in folders for p in sorted(folder.glob("*.json"))):
        table = _read(path)
        if capability is not None and table.get("compute_capability") == capability:
            found = _take_blocks(table) | found
    own = next((p for p in (locate_table(device, f) for f in folders) if p.is_file()), None)
    return found if own is None else found | _take_blocks(_read(own))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _take_blocks(table: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {key: entry["blocks"] for key, entry in table["entries"].items()}


def clear_tables() -> None:
    """Reread the tables at the next call. Compiled programs keep their block sizes."""
    _read_tables.cache_clear()


def choose(
    problem: Problem,
    heuristic: Callable[[Problem], dict[str, int]],
    shared: Callable[[Problem, Blocks], int] | None = None,
) -> dict[str, int]:
    """Choose block sizes for ``problem``: measured ones if available, else the heuristic's.

    Args:
      problem: problem to choose for.
      heuristic: function that computes block sizes without measurements.
      shared: function that computes the bytes of shared memory that block sizes need; measured
        sizes that exceed the GPU's are rejected, as they may stem from another channel count.
    """
    default = heuristic(problem)
    found = look_up(problem)
    if found is None or not set(default) <= set(found):
        return default
    if shared is not None and shared(problem, found) > get_shared_memory():
        return default
    return {name: int(found[name]) for name in default}


def look_up(problem: Problem) -> Blocks | None:
    """Look up the block sizes of ``problem`` in this device's tables; None if there are none."""
    device = find_device() if settings().tuned else None
    return find_nearest(problem, _read_tables(device)) if device else None


def list_measured(problem: Problem) -> list[Blocks]:
    """List this device's block sizes for problems like ``problem`` of any size."""
    device = find_device()
    table = _read_tables(device) if device else {}
    return [blocks for key, blocks in table.items() if key.startswith(f"{problem.family} p")]


def find_nearest(problem: Problem, table: Mapping[str, Blocks]) -> Blocks | None:
    """Find the family's entry nearest in pixels and images, or None if none is close enough."""
    best, distance = None, math.inf
    for key, blocks in table.items():
        match = re.fullmatch(r"(.*) p(\d+) n(\d+)", key)
        if match is None or match[1] != problem.family:
            continue
        pixels, images = problem.extent
        gaps = abs(math.log2(int(match[2])) - pixels), abs(math.log2(int(match[3])) - images)
        # Limit each gap: sizes that fill a GPU with many images leave most of it idle with one.
        if max(gaps) <= _FAR and sum(gaps) < distance:
            best, distance = blocks, sum(gaps)
    return best
