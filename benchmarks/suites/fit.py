"""Time whole fits of one image or several at once, beside the PyTorch reference.

    python -m benchmarks fit --size 256 --channels 64 --images 1 4

prints a table and writes ``benchmarks/results/fit-<size>-<channels>-<place>.json``: seconds of
a fit, seconds per image and step, images per minute at the preset's full number of steps, and peak
memory (each candidate in a separate process). Early stops are off, so that every candidate does the
same steps. "Step by step" is not a fit: it calls only the steps, one at a time from Python.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks.harness.candidates import (
    COMPILED,
    EAGER,
    KEPT,
    LOOP,
    OURS,
    PLAIN,
    TORCH,
    USUAL,
    Candidate,
    list_fit_candidates,
)
from benchmarks.harness.machine import build_result_name, hold_little_memory, is_on_gpu
from benchmarks.harness.metadata import collect_metadata, format_json, write_result
from benchmarks.harness.options import DTYPES, Parser, is_usual, parse_positive
from benchmarks.harness.worker import add_rows, end_without_ours, measure
from s3net_jax import PRESETS
from s3net_kernels.testing import ratio, summarise

__all__ = ["main"]

FULL_STEPS = 50  # number of steps of the paper's presets, for which images per minute are given


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser("fit", __doc__)
    parser.add_argument("--size", type=parse_positive, default=256)
    parser.add_argument("--channels", type=parse_positive, default=64)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument(
        "--steps", type=parse_positive, default=FULL_STEPS, help="number of steps of each timed fit"
    )
    parser.add_argument(
        "--images",
        type=parse_positive,
        nargs="+",
        help="images at once (default: 1 4; on a GPU 1 8 32 64)",
    )
    parser.add_argument(
        "--preset", action="append", choices=PRESETS, help="default: paper and released"
    )
    parser.add_argument("--repeats", type=parse_positive, default=3)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the candidates to time")
    parser.add_argument("--quick", action="store_true", help="24×24, 8 channels, 2 steps, once")
    args = parser.parse_args(arguments)
    hold_little_memory()
    if args.quick:
        args.size, args.channels, args.steps, args.repeats = 24, 8, 2, 1
        args.images = args.images or [1, 2]
    usual = [1, 8, 32, 64] if is_on_gpu() else [1, 4]
    args.images = args.images or usual
    content: dict[str, Any] = {
        "suite": "fit",
        "size": args.size,
        "channels": args.channels,
        "dtype": args.dtype,
        "steps": args.steps,
        "presets": {},
        "metadata": collect_metadata(parser.command(arguments)),
    }
    name = build_result_name(
        "fit", args.size, args.channels, *[args.dtype] * (args.dtype != "float32")
    )
    path = None
    presets = args.preset or USUAL
    parser.check_names(args.only, _list_candidates(presets[0], args), TORCH)
    whole = args.only is None and is_usual(presets, USUAL) and is_usual(args.images, usual)
    narrowed = not args.quick and not (whole and args.steps == FULL_STEPS)
    parser.claim(name, arguments, narrowed=narrowed, overwrite=args.overwrite)
    for preset in presets:
        if not add_rows(content, preset, *_measure(preset, args)):
            continue
        # Write after each preset, so that an interrupted run keeps its results.
        path = write_result(name, content)
    if path is not None:
        print(format_json(content) if args.json else _format_table(content) + f"\nWritten: {path}")
    end_without_ours(content)


def _list_candidates(preset: str, args: argparse.Namespace) -> dict[str, Candidate]:
    return list_fit_candidates(
        preset, args.size, args.channels, args.dtype, args.steps, args.images
    )


def _measure(preset: str, args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """Return name → row, and name → reason for candidates that failed."""
    candidates = _list_candidates(preset, args)
    candidates = {n: c for n, c in candidates.items() if n in (args.only or n)}
    found, left_out = measure(candidates, args.repeats)
    result: dict[str, Any] = {}
    for name, (seconds, _, peak) in found.items():
        n = candidates[name].images
        per_image = [s / n for s in seconds]
        row = result[name] = {**summarise(seconds), "images": n, "peak_mib": peak}
        median = summarise(per_image)["median_s"]
        row["seconds_per_image_and_step"] = median / args.steps
        row["images_per_minute"] = 60 / (median / args.steps * FULL_STEPS)
        for other, key in (
            (EAGER, "times_faster_than_torch"),
            (PLAIN, "times_faster_than_torch_plain"),
            (COMPILED, "times_faster_than_torch_compile"),
            (OURS + LOOP, "times_faster_than_steps"),
            (OURS + LOOP + KEPT, "times_faster_than_steps_kept"),
        ):
            if other in found and name.startswith(OURS) and LOOP not in name:
                row[key] = ratio(found[other].seconds, per_image)
    return result, left_out


def _format_table(content: dict[str, Any]) -> str:
    lines = [
        f"A fit of {content['steps']} steps at {content['size']}×{content['size']}, "
        f"{content['channels']} channels"
    ]
    for preset, rows in content["presets"].items():
        lines.append(f"{preset}: seconds (quartiles), per image and step, images per minute")
        for name, row in rows.items():
            line = f"  {name:30s} {row['median_s']:7.2f} ({row['q1_s']:.2f}-{row['q3_s']:.2f})"
            line += f" {row['seconds_per_image_and_step']:.4f} {row['images_per_minute']:7.2f}"
            line += f" {row['peak_mib']:7.0f} MiB"
            for key in ("torch", "torch_plain", "torch_compile", "steps", "steps_kept"):
                faster = row.get(f"times_faster_than_{key}")
                line += f"  {faster['median']:.2f}×" if faster else ""
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
