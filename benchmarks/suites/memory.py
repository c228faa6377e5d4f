"""Measure the peak memory of a worker process for each method, on a CPU.

    python -m benchmarks memory

fits two images, one after the other, in a process on one core that keeps its freed memory, as
``--engine processes`` does, and prints the peak of its resident memory, Python and JAX included,
beside the estimate from which the number of processes is chosen. It writes
``benchmarks/results/memory-<place>.json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np

from benchmarks.harness.machine import build_result_name, is_on_gpu, measure_peak
from benchmarks.harness.metadata import collect_metadata, format_json, write_result
from benchmarks.harness.options import Parser, is_usual, parse_positive
from s3net_jax import PRESETS, preset
from s3net_jax.config import Config
from s3net_jax.run.engines.pool import ONE_CORE

__all__ = ["main"]

USUAL = ("paper", "sgscn", "dfc", "slic-backprop", "ms-former", "iic-image", "deepcluster-image")
"""Presets that are measured: one of S3-Net, and one of every method that trains on an image."""


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser("memory", __doc__)
    parser.add_argument("--preset", nargs="+", choices=PRESETS, default=list(USUAL))
    parser.add_argument(
        "--size", type=parse_positive, help="side in pixels (default: the preset's)"
    )
    parser.add_argument("--steps", type=parse_positive, default=8, help="steps of each fit")
    parser.add_argument("--quick", action="store_true", help="one step at 33 pixels")
    args = parser.parse_args(arguments)
    if is_on_gpu():
        sys.exit("This suite measures a CPU: set JAX_PLATFORMS=cpu.")
    name = build_result_name("memory-quick" if args.quick else "memory")
    is_part = not args.quick and (args.size is not None or not is_usual(args.preset, USUAL))
    parser.claim(name, arguments, narrowed=is_part, overwrite=args.overwrite)
    size, steps = (33, 1) if args.quick else (args.size, args.steps)
    rows: dict[str, Any] = {}
    for one in args.preset:
        row = _measure(one, size, steps)
        estimate = row.pop("estimate_mib")
        rows[one] = row
        print(
            f"{one:18s} {row['size']:4d} pixels {row['peak_mib']:6.0f} MiB, "
            f"estimated {estimate:6.0f} MiB",
            file=sys.stderr if args.json else sys.stdout,
            flush=True,
        )
    content = {
        "suite": "memory",
        "metadata": collect_metadata(parser.command(arguments)),
        "steps": steps,
        "presets": rows,
    }
    if args.json:
        print(format_json(content))
    path = write_result(name, content)
    print(f"Written: {path}", file=sys.stderr)


def _measure(name: str, size: int | None, steps: int) -> dict[str, Any]:
    """Measure a preset in a separate process.

    Raises:
      RuntimeError: the process failed.
    """
    order = json.dumps({"name": name, "size": size, "steps": steps})
    command = [sys.executable, "-m", "benchmarks.suites.memory", order]
    environment = {**os.environ, **ONE_CORE}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {(done.stderr.splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _configure(name: str, size: int | None, steps: int) -> Config:
    config = preset(name)
    changes: dict[str, Any] = {"fit": {"steps": steps, "stop_labels": 0}}
    if size is not None:
        changes["input"] = {"size": size}
    return config.replace(**changes)


def _serve(name: str, size: int | None, steps: int) -> dict[str, Any]:
    """Fit two images in this process, and describe its peak memory."""
    from s3net_jax.io import from_array
    from s3net_jax.run.fitter import Fitter
    from s3net_jax.run.memory import estimate_process_bytes
    from s3net_jax.run.outcome import Fitted, Piece
    from s3net_kernels import keep_memory

    if not keep_memory():
        sys.exit("The C library of this system does not support keeping freed memory.")
    config = _configure(name, size, steps)
    side = config.input.size
    random = np.random.default_rng(0)
    fitter = Fitter(config, 1)
    for seed in range(2):
        # Noise on a gradient: every method keeps several labels to the end.
        ramp = np.linspace(0, 0.7, side)[:, None, None]
        image = from_array((ramp + 0.3 * random.random((side, side, 3))).astype(np.float32))
        (outcome,) = fitter.fit([Piece(image, seed)])
        if not isinstance(outcome, Fitted):
            sys.exit(f"{name}: {outcome.reason}")
    return {
        "size": side,
        "channels": config.model.channels,
        "peak_mib": round(measure_peak(), 1),
        "estimate_mib": round(estimate_process_bytes(config, (side, side), 1) / 2**20, 1),
    }


if __name__ == "__main__":
    print(json.dumps(_serve(**json.loads(sys.argv[1]))))
