"""Output folders of small runs, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.cli import main
from tests.pictures import save_lesion
from tests.run.small import picture

__all__ = ["SMALL", "area", "read_files", "records", "retarget", "segment"]

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3", "--quiet", "--no-report"]


def segment(*inputs: str, more: tuple[str, ...] = ()) -> None:
    """Segment into ``out``; without inputs, three pictures in ``in``."""
    if not inputs:
        for n, name in enumerate("abc"):
            save_lesion(Path(f"in/{name}.png"), seed=n)
    assert main(["segment", *(inputs or ["in"]), "--out", "out", *SMALL, *more]) == 0


def retarget(*arguments: str) -> int:
    return main(["retarget", "out", *arguments])


def records() -> dict[str, dict[str, Any]]:
    """Read the last record of each stem."""
    lines = Path("out/results.jsonl").read_text().splitlines()
    return {record["stem"]: record for record in map(json.loads, lines)}


def read_files(folder: str = "out") -> dict[str, bytes]:
    """Read all files of a folder except the log, which only grows."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(p): p.read_bytes() for p in paths if p.name not in ("results.jsonl", "run.json")}


def area(stem: str) -> int:
    return int(np.count_nonzero(picture(Path(f"out/{stem}.mask.png"))))
