"""Run fake fits of small images, and read what the run wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage

from s3net_jax.cli.display import QuietDisplay
from s3net_jax.config import Config
from s3net_jax.presets import preset
from s3net_jax.run import LocalEngine, Summary, segment_inputs
from tests.fakes import fit_brightness

CONFIG = preset("fast").replace(input={"size": 32}, fit={"steps": 3})
PICTURES = ("labels.png", "mask.png", "overlay.png")


def run(tmp_path: Path, *inputs: Path, config: Config = CONFIG, **options: Any) -> Summary:
    listener = options.pop("listener", QuietDisplay())
    engine = LocalEngine(config, batch=options.pop("batch", 1))
    return segment_inputs(
        inputs,
        tmp_path / "out",
        config,
        engine=engine,
        listener=listener,
        **options,
    )


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    """Read the last record of each stem."""
    text = (tmp_path / "out/results.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    return list({record["stem"]: record for record in records}.values())


def run_json(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "out/run.json").read_text())


def picture(path: Path) -> np.ndarray:
    with PilImage.open(path) as file:
        return np.asarray(file)


def interrupt_at(number: int) -> Any:
    """Make a fit that raises KeyboardInterrupt in its ``number``-th call."""
    calls = []

    def interrupt(*args: Any, **more: Any):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return fit_brightness(*args, **more)

    return interrupt
