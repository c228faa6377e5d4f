"""Measure the results of all fitted images, and keep the rows between calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import s3net_jax
from benchmarks.confidence.images import Sample, name_sample, read_maps
from benchmarks.confidence.results import Row, Setting, make_rows

__all__ = ["digest_code", "measure_samples", "read_rows"]

_ROOT = Path(s3net_jax.__file__).parent
_CODE = ("masks", "baselines", "run/confidence.py", "run/choosing.py", "evaluate/metrics.py")
_WEIGHTS = "calibrations.py"
_OWN = ("results.py", "users.py")


def digest_code() -> str:
    """Digest the code that makes and measures masks, but not the weights: 12 hex digits.

    Rows of another digest are measured again. The weights are applied to the measures later, so
    choosing them again needs neither fits nor measures.
    """
    found = [_ROOT / name for name in _CODE]
    files = sorted(f for path in found for f in (path.rglob("*.py") if path.is_dir() else [path]))
    digest = hashlib.sha256()
    for file in (*files, *(Path(__file__).parent / name for name in _OWN)):
        if file.name != _WEIGHTS:
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def measure_samples(
    samples: Sequence[Sample],
    settings: Sequence[Setting],
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Measure every image whose label maps are in ``folder`` and that has no rows there yet."""
    path = _locate(folder)
    known = {row["key"] for row in _read(path)}
    for number, sample in enumerate(samples):
        for setting in settings:
            if setting.images is not None and number >= setting.images:
                continue
            key = _make_key(setting, sample)
            maps = None if key in known else read_maps(folder, setting.fits, sample)
            if maps is None:
                continue
            lines = [json.dumps({"key": key, **row}) for row in make_rows(sample, setting, maps)]
            with open(path, "a") as file:
                file.write("".join(f"{line}\n" for line in lines))
            say(f"measured {key}")


def read_rows(samples: Sequence[Sample], settings: Sequence[Setting], folder: Path) -> list[Row]:
    """Read the rows of ``settings`` and ``samples`` that the present code has measured."""
    found: dict[str, list[Row]] = {}
    for row in _read(_locate(folder)):
        found.setdefault(row.pop("key"), []).append(row)
    keys = [
        _make_key(setting, sample) for setting in settings for sample in samples[: setting.images]
    ]
    return [row for key in keys for row in found.get(key, [])]


def _make_key(setting: Setting, sample: Sample) -> str:
    return f"{setting.name} {setting.config.digest[:12]} {name_sample(sample)}"


def _locate(folder: Path) -> Path:
    return folder / f"rows-{digest_code()}.jsonl"


def _read(path: Path) -> list[Row]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]
