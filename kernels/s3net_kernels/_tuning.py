"""Block sizes of the Pallas kernels: from a measured table of the device, or a heuristic.

A table is a JSON file ``tuned/<device>.json`` with an entry for each measured :class:`Problem`.
A call takes the entry of its own problem, else that of the nearest one in number of pixels and
images, a factor of eight away at most, with everything else equal, else the kernel's heuristic.
What the device's own table lacks, those of other devices of its compute capability give.
Tables are read from the folder named by ``S3NET_KERNELS_TUNED`` (default: the user's cache folder),
where ``python -m s3net_kernels.tune`` writes them, then from those shipped beside this file.
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
from s3net_kernels._pallas import power_of_two, shared_memory

__all__ = [
    "FOLDER",
    "Blocks",
    "Problem",
    "choose",
    "compute_capability",
    "device_name",
    "forget",
    "in_use",
    "measured",
    "table_path",
    "user_folder",
]

Blocks = Mapping[str, int]
"""Sizes by name; ``num_warps`` and ``num_stages`` concern the launch, the others the kernel."""

FOLDER = Path(__file__).parent / "tuned"
_FAR = 3
"""Logarithm of the factor that a problem may be smaller or larger than the one measured."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What the best block sizes of a kernel depend on."""

    kernel: str
    """``<operator>.<direction>``."""
    dtype: str
    """Of the image."""
    images: int
    """Images of one launch, those of every ``vmap`` around it included."""
    height: int
    width: int
    channels: int
    features: int = 0
    """Output channels, where they are not the input's."""
    size: tuple[int, int] = (1, 1)
    """(kh, kw)."""
    dilation: int = 1

    @property
    def family(self) -> str:
        """Everything but the number of pixels and images; channels up to a power of two."""
        channels, features = power_of_two(self.channels), power_of_two(self.features)
        size = f"k{self.size[0]}x{self.size[1]} d{self.dilation}"
        return f"{self.kernel} {size} c{channels} f{features} {self.dtype}"

    @property
    def extent(self) -> tuple[int, int]:
        """Logarithms of the number of pixels of an image, and of images, rounded up."""
        pixels = self.height * self.width
        return (pixels - 1).bit_length(), (max(self.images, 1) - 1).bit_length()

    @property
    def key(self) -> str:
        """Name of the problem's class in a table."""
        pixels, images = self.extent
        return f"{self.family} p{1 << pixels} n{1 << images}"


def device_name() -> str | None:
    """The kind of the first GPU, or None where there is none."""
    try:
        return jax.devices("gpu")[0].device_kind
    except RuntimeError:
        return None


def compute_capability() -> str | None:
    """Of the first GPU, as ``"9.0"``, or None where there is none."""
    try:
        return getattr(jax.devices("gpu")[0], "compute_capability", None)
    except RuntimeError:
        return None


def table_path(device: str, folder: Path = FOLDER) -> Path:
    """Where the table of a kind of device lies."""
    return folder / f"{re.sub(r'[^a-z0-9]+', '_', device.lower()).strip('_')}.json"


def user_folder() -> Path:
    """Return the folder of the tables measured on this machine.

    That is ``$S3NET_KERNELS_TUNED``, or ``s3net-jax/tuned`` in the user's cache folder.
    """
    named = os.environ.get("S3NET_KERNELS_TUNED")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "s3net-jax" / "tuned"


@functools.cache
def _table(device: str) -> dict[str, dict[str, int]]:
    """Block sizes by key; empty without a readable table."""
    folders = [user_folder(), FOLDER]
    capability = compute_capability()
    found: dict[str, dict[str, int]] = {}
    for path in (p for folder in folders for p in sorted(folder.glob("*.json"))):
        table = _read(path)
        if capability is not None and table.get("compute_capability") == capability:
            found = _blocks(table) | found
    own = next((p for p in (table_path(device, f) for f in folders) if p.is_file()), None)
    return found if own is None else found | _blocks(_read(own))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _blocks(table: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {key: entry["blocks"] for key, entry in table["entries"].items()}


def forget() -> None:
    """Read the tables again at the next call. Compiled programs keep their block sizes."""
    _table.cache_clear()


def choose(
    problem: Problem,
    heuristic: Callable[[Problem], dict[str, int]],
    shared: Callable[[Problem, Blocks], int] | None = None,
) -> dict[str, int]:
    """Block sizes for ``problem``: measured ones where there are any, else the heuristic's.

    ``shared`` tells the bytes of shared memory that some need: those measured on a problem of
    other channels may not fit.
    """
    default = heuristic(problem)
    found = in_use(problem)
    if found is None or not set(default) <= set(found):
        return default
    if shared is not None and shared(problem, found) > shared_memory():
        return default
    return {name: int(found[name]) for name in default}


def in_use(problem: Problem) -> Blocks | None:
    """What the tables have for ``problem`` on this device, or None."""
    device = device_name() if settings().tuned else None
    return nearest(problem, _table(device)) if device else None


def measured(problem: Problem) -> list[Blocks]:
    """What the tables have for problems like ``problem`` of whatever sizes, on this device."""
    device = device_name()
    table = _table(device) if device else {}
    return [blocks for key, blocks in table.items() if key.startswith(f"{problem.family} p")]


def nearest(problem: Problem, table: Mapping[str, Blocks]) -> Blocks | None:
    """The entry of the problem's family nearest in pixels and images, or None if none is near."""
    best, distance = None, math.inf
    for key, blocks in table.items():
        match = re.fullmatch(r"(.*) p(\d+) n(\d+)", key)
        if match is None or match[1] != problem.family:
            continue
        pixels, images = problem.extent
        gaps = abs(math.log2(int(match[2])) - pixels), abs(math.log2(int(match[3])) - images)
        # What fills a GPU with many images leaves most of it idle with one.
        if max(gaps) <= _FAR and sum(gaps) < distance:
            best, distance = blocks, sum(gaps)
    return best
