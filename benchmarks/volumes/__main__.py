"""Compare one network for all slices of a volume with a fit of every slice.

    python -m benchmarks.volumes --data FOLDER

segments a synthetic volume and a CT by ``s3net_jax.segment_volume`` in both modes, each in a
process of its own, and writes ``docs/quality/volumes.json``. FOLDER is the folder of the public
example of TotalSegmentator; without it, only the synthetic volume is measured. ``--only NAME``
measures one row again and keeps the others. The result file has figures only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import s3net_jax as s3
from benchmarks.harness.machine import read_cpu_model
from benchmarks.volumes.measures import compute_dsc, measure_neighbours
from benchmarks.volumes.phantom import Phantom, draw_organ, draw_phantom
from s3net_jax.parallel import count_usable_cores
from s3net_jax.provenance import collect_versions, find_commit

__all__ = ["RESULT", "ROWS", "main"]

RESULT = Path(__file__).parents[2] / "docs/quality/volumes.json"

_SLICES = (195, 205)  # slices of the synthetic volume on which a fit of every slice is measured
_LUNGS = (19, 30)  # slices of the CT that show lungs
_TRAINING = (2, 4, 8, 16)  # values of fit.slices that are compared


class _Volume(NamedTuple):
    """Slices (Z, Y, X) to segment, and the true mask."""

    values: np.ndarray
    truth: np.ndarray


class Row(NamedTuple):
    """One measurement.

    Attributes:
      read: function of the data folder that makes the volume.
      one_network: the mode.
      target: rule of the target.
      training: slices of the training, ``fit.slices``; None for the default.
    """

    read: Callable[[Path | None], _Volume]
    one_network: bool
    target: str = "dark"
    training: int | None = None


def _draw(
    start: int, stop: int, draw: Callable[[], Phantom] = draw_phantom
) -> Callable[[Path | None], _Volume]:
    def read(data: Path | None) -> _Volume:
        del data
        phantom = draw()
        return _Volume(phantom.values[start:stop], phantom.truth[start:stop])

    return read


def _read_ct(data: Path | None) -> _Volume:
    if data is None:
        raise SystemExit("This row needs --data FOLDER, the example of TotalSegmentator.")
    values = _read_axial(data / "example_ct_sm.nii.gz").astype(np.int16)
    truth = _read_axial(data / "lung_mask_from_seg.nii.gz") > 0
    return _Volume(values[slice(*_LUNGS)], truth[slice(*_LUNGS)])


def _read_axial(path: Path) -> np.ndarray:
    """Read a NIfTI file in RAS+ order as (Z, Y, X), with rows from front to back."""
    import nibabel

    return np.asarray(nibabel.load(path).dataobj).T[:, ::-1]  # pyright: ignore


ROWS = {
    "phantom, 300 slices, one network": Row(_draw(0, 300), True),
    "phantom, 300 slices, every slice": Row(_draw(0, 300), False),
    "phantom, 10 slices, one network": Row(_draw(*_SLICES), True),
    "phantom, 10 slices, every slice": Row(_draw(*_SLICES), False),
    "CT, 11 slices, one network": Row(_read_ct, True),
    "CT, 11 slices, every slice": Row(_read_ct, False),
    "CT, 11 slices, one network, auto": Row(_read_ct, True, "auto"),
    "CT, 11 slices, every slice, auto": Row(_read_ct, False, "auto"),
    "organ, 40 slices, one network, auto": Row(_draw(0, 40, draw_organ), True, "auto"),
    "organ, 40 slices, every slice, auto": Row(_draw(0, 40, draw_organ), False, "auto"),
    **{
        f"small phantom, 40 slices, one network, {count} training slices": Row(
            _draw(0, 40, lambda: draw_phantom(40, 128)), True, "dark", count
        )
        for count in _TRAINING
    },
    **{
        f"CT, 11 slices, one network, {count} training slices": Row(_read_ct, True, "dark", count)
        for count in _TRAINING
    },
}


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the result file; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.volumes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of the CT and its lungs")
    parser.add_argument("--only", metavar="NAME", action="append", help="row to measure")
    parser.add_argument("--row", metavar="NAME", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.row:
        print(json.dumps(_measure(ROWS[args.row], args.data)))
        return 0
    known = json.loads(RESULT.read_text())["rows"] if RESULT.exists() and args.only else {}
    for name in args.only or ROWS:
        command = [sys.executable, "-m", "benchmarks.volumes", "--row", name]
        command += ["--data", str(args.data)] if args.data else []
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        known[name] = json.loads(found.stdout.splitlines()[-1])
        print(name, known[name], flush=True)
        _write(known)
    return 0


def _measure(row: Row, data: Path | None) -> dict[str, Any]:
    """Segment a volume and measure the result; run in a process of its own."""
    commit = find_commit()  # before the run, which may last until the next commit
    volume = row.read(data)
    before, start = _read_cpu_seconds(), time.perf_counter()
    config = s3.preset("best")
    if row.training is not None:
        config = config.replace(fit={"slices": row.training})
    found = s3.segment_volume(
        volume.values,
        config=config,
        target=row.target,
        one_network=row.one_network,
        progress=False,
    )
    seconds, cpu = time.perf_counter() - start, _read_cpu_seconds() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "slices": len(volume.values),
        "one_network": row.one_network,
        "target": row.target,
        **({} if row.training is None else {"training_slices": row.training}),
        "dsc": round(compute_dsc(found.mask, volume.truth), 4),
        "clusters": int(found.labels.max()) + 1,
        **measure_neighbours(found.labels, found.mask),
        "true_mask_dsc": measure_neighbours(volume.truth, volume.truth)["mask_dsc"],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_mib": peak // 1024,
        "notes": list(found.notes),
        "commit": commit,
        "cores": count_usable_cores(),
        "cpu": read_cpu_model(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read_cpu_seconds() -> float:
    """Return the processor time of this process, in the program and in the system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _write(rows: dict[str, Any]) -> None:
    config = s3.preset("best")
    content = {
        "title": "One network for a volume",
        "preset": config.preset,
        "config_digest": config.replace(fit={"volume": "shared"}).digest,
        "seed": 0,
        "versions": collect_versions(),
        "rows": {name: rows[name] for name in ROWS if name in rows},
    }
    RESULT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
