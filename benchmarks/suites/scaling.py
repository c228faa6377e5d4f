"""Time a step over image sizes, numbers of images and channels, beside PyTorch.

    python -m benchmarks scaling

varies one quantity at a time around the preset ``paper``, in the released order of the inception:
image sizes from 128 to 1024, 1 to 64 images at once, 16 to 128 channels. Each point is a short fit
in a separate process, and so is each candidate, so that running out of memory only affects that
candidate. It prints a table and writes ``benchmarks/results/scaling-<place>.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.harness.candidates import EAGER, OURS, Candidate, list_fit_candidates
from benchmarks.harness.machine import build_result_name, hold_little_memory, is_on_gpu
from benchmarks.harness.metadata import collect_metadata, format_json, write_result
from benchmarks.harness.options import Parser, is_usual, parse_positive
from benchmarks.harness.worker import Found, measure
from s3net_jax import PRESETS
from s3net_kernels.testing import ratio, summarise

__all__ = ["list_points", "main", "measure_each"]

AXES: dict[str, list[int]] = {
    "size": [128, 256, 512, 1024],
    "images": [1, 2, 4, 8, 16, 32, 64],
    "channels": [16, 32, 64, 128],
}


def list_points(
    axes: list[str], base: dict[str, int], images_size: int, quick: bool
) -> list[dict[str, int]]:
    """List a point for each value along each axis, with the name of the axis as ``axis``.

    Args:
      axes: names in :data:`AXES`.
      base: values of the quantities that do not vary.
      images_size: image size for the axis ``images``.
      quick: whether to list only one tiny point for each axis.
    """
    found = []
    for axis in axes:
        for value in AXES[axis][:1] if quick else AXES[axis]:
            point: dict[str, Any] = {**base, "axis": axis}
            if axis == "images":
                point["size"] = images_size
            point[axis] = value // 8 if quick and axis != "images" else value
            found.append(point)
    return found


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser("scaling", __doc__)
    parser.add_argument("--preset", choices=PRESETS, default="paper")
    parser.add_argument("--axis", nargs="+", choices=AXES, default=list(AXES), help="default: all")
    parser.add_argument("--steps", type=parse_positive, default=3, help="steps of each fit")
    parser.add_argument("--repeats", type=parse_positive, default=3)
    parser.add_argument(
        "--images-size",
        type=parse_positive,
        help="size when their number varies (64; on a GPU 256)",
    )
    parser.add_argument("--limit", type=float, default=1800, help="seconds allowed for each point")
    parser.add_argument("--quick", action="store_true", help="tiny points, once")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    hold_little_memory()
    if args.point:
        _prefer_to_be_killed()
        print(json.dumps(_measure(json.loads(args.point))))
        return
    base = {"size": 256, "images": 1, "channels": 64}
    images_size = args.images_size or (256 if is_on_gpu() else 64)
    if args.quick:
        base, images_size, args.repeats = {"size": 16, "images": 1, "channels": 4}, 16, 1
    rows: list[dict[str, Any]] = []
    content: dict[str, Any] = {
        "suite": "scaling",
        "preset": args.preset,
        "steps": args.steps,
        "rows": rows,
        "metadata": collect_metadata(parser.command(arguments)),
    }
    path = None
    name = build_result_name("scaling-quick" if args.quick else "scaling")
    settings = ("preset", "steps", "images_size")
    whole = all(getattr(args, s) == parser.get_default(s) for s in settings)
    narrowed = not (args.quick or (whole and is_usual(args.axis, AXES)))
    parser.claim(name, arguments, narrowed=narrowed, overwrite=args.overwrite)
    for point in list_points(args.axis, base, images_size, args.quick):
        settings = {"preset": args.preset, "steps": args.steps, "repeats": args.repeats}
        rows.append(point | _measure_in_process(point | settings, args.limit))
        # Large points take many minutes, so write after each point.
        path = write_result(name, content)
        if not args.json:
            print(_format_line(rows[-1]), flush=True)
    print(format_json(content) if args.json else f"Written: {path}")


def _prefer_to_be_killed() -> None:
    """Make the system kill this process or its children first if memory runs out."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


@contextlib.contextmanager
def _raise_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM, as sent by ``timeout``, into an exception.

    The process of a point has its own session and would otherwise keep running.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _measure_in_process(point: dict[str, Any], limit: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.suites.scaling", "--point", json.dumps(point)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        _raise_on_sigterm(),
        subprocess.Popen(command, start_new_session=True, **pipes) as process,
    ):
        try:
            out, err = process.communicate(timeout=limit)
        except BaseException as error:
            # Kill its workers too: leftover ones would slow down the following points.
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return {"failed": f"took more than {limit:.0f} s"}
            raise
    if process.returncode == 0:
        return json.loads(out.strip().splitlines()[-1])
    if process.returncode < 0:
        return {"failed": f"ended by signal {-process.returncode}"}
    reasons = [line for line in err.strip().splitlines() if line.strip()]
    return {"failed": reasons[-1][:200] if reasons else f"exit code {process.returncode}"}


def _measure(point: dict[str, Any]) -> dict[str, Any]:
    n, steps = point["images"], point["steps"]
    candidates = list_fit_candidates(
        point["preset"], point["size"], point["channels"], "float32", steps, [n]
    )
    wanted = (OURS, EAGER)
    fits = {c.name: c for c in candidates.values() if c.suite == "fit" and c.name in wanted}
    found, left_out = measure_each(fits, point["repeats"])
    result = {}
    for name, (seconds, _, _) in found.items():
        each = [s / (1 if name == EAGER else n) / steps for s in seconds]
        row = result[name] = {"per_image_and_step": summarise(each)}
        if EAGER in found and name != EAGER:
            row["times_faster_than_torch"] = ratio([s / steps for s in found[EAGER].seconds], each)
    return {"candidates": result, **({"left_out": left_out} if left_out else {})}


def measure_each(fits: dict[str, Candidate], repeats: int) -> Found:
    """Time candidates in turns; if one fails, time each separately and keep the reasons."""
    found = measure(fits, repeats)
    if not found.left_out:
        return found
    found = Found({}, {})
    for name, candidate in fits.items():
        one = measure({name: candidate}, repeats)
        found.measured.update(one.measured)
        found.left_out.update(one.left_out)
    if not found.measured:
        raise RuntimeError("; ".join(f"{name}: {why}" for name, why in found.left_out.items()))
    return found


def _format_line(row: dict[str, Any]) -> str:
    start = f"{row['axis']:8s} {row['size']:5d}² {row['images']:3d} images {row['channels']:4d} ch"
    if "failed" in row:
        return f"{start}  failed: {row['failed']}"
    parts = [f"{name}: {why}" for name, why in row.get("left_out", {}).items()]
    for name, candidate in row["candidates"].items():
        faster = candidate.get("times_faster_than_torch")
        text = f"{name} {candidate['per_image_and_step']['median_s']:.4f}"
        parts.append(text + (f" ({faster['median']:.2f}×)" if faster else ""))
    return f"{start}  " + ", ".join(parts)


if __name__ == "__main__":
    main()
