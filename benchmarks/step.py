"""One optimisation step: ours by implementation, beside the PyTorch reference, in one run.

    python -m benchmarks.step --size 256 --channels 64

prints a table and writes ``benchmarks/results/step-<size>-<channels>.json``: time of a step,
ratios, compile time, peak memory (each candidate in a process of its own), the time of the
step's parts alone, forward and backward, and that of its matrix products alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from benchmarks.candidates import build_steps
from benchmarks.harness import interleave, ratio, summarise
from benchmarks.machine import (
    hold_little_memory,
    peak_memory,
    peak_of_this_process,
    result_name,
)
from benchmarks.metadata import metadata, write_result
from benchmarks.parts import part_timings
from benchmarks.products import product_seconds

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--preset", action="append", help="default: paper and released")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="candidates by name")
    parser.add_argument("--quick", action="store_true", help="24×24, 8 channels, two repeats")
    parser.add_argument("--json", action="store_true", help="print the result file's content")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--idle", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    hold_little_memory()
    if args.quick:
        args.size, args.channels, args.repeats = 24, 8, 2
    presets = args.preset or ["paper", "released"]
    if args.peak:
        _print_peak(args, presets[0])
        return
    content: dict[str, Any] = {
        "suite": "step",
        "size": args.size,
        "channels": args.channels,
        "dtype": args.dtype,
        "presets": {preset: _measure(preset, args) for preset in presets},
        "products": {
            preset: product_seconds(preset, args.size, args.channels, args.dtype, args.repeats)
            for preset in presets
        },
        "parts": part_timings(args.size, args.channels, args.repeats),
        "metadata": metadata("python -m benchmarks.step " + " ".join(arguments)),
    }
    parts = [] if args.dtype == "float32" else [args.dtype]
    path = write_result(result_name("step", args.size, args.channels, *parts), content)
    print(json.dumps(content, indent=1) if args.json else _table(content) + f"\nWritten: {path}")


def _measure(preset: str, args: argparse.Namespace) -> dict[str, Any]:
    steps = build_steps(preset, args.size, args.channels, args.dtype, args.only)
    seconds = interleave({name: step for name, (step, _) in steps.items()}, repeats=args.repeats)
    result: dict[str, Any] = {}
    for name, (_, compile_seconds) in steps.items():
        result[name] = {**summarise(seconds[name]), "compile_s": compile_seconds}
        result[name]["peak_mib"] = peak_memory(
            "step", "--peak", name, "--preset", preset, "--size", str(args.size),
            "--channels", str(args.channels), "--dtype", args.dtype,
        )  # fmt: skip
        for other, key in (
            ("torch eager", "times_faster_than_torch"),
            ("torch.compile", "times_faster_than_torch_compile"),
            ("stock Flax", "times_faster_than_stock_flax"),
        ):
            if other in seconds and name.startswith("s3net-jax"):
                result[name][key] = ratio(seconds[other], seconds[name])
    return result


def _print_peak(args: argparse.Namespace, preset: str) -> None:
    if not args.idle:
        steps = build_steps(preset, args.size, args.channels, args.dtype, [args.peak])
        for _ in range(3):
            steps[args.peak][0]()
    print(peak_of_this_process())


def _table(content: dict[str, Any]) -> str:
    lines = [f"One step at {content['size']}×{content['size']}, {content['channels']} channels"]
    for preset, rows in content["presets"].items():
        lines.append(f"{preset}: seconds a step (quartiles), compile, peak memory, against torch")
        for name, row in rows.items():
            line = f"  {name:20s} {row['median_s']:7.4f} ({row['q1_s']:.4f}-{row['q3_s']:.4f})"
            line += f" {row['compile_s']:6.1f} s {row['peak_mib']:7.0f} MiB"
            for key in ("torch", "torch_compile", "stock_flax"):
                faster = row.get(f"times_faster_than_{key}")
                line += f"  {faster['median']:.2f}×" if faster else ""
            lines.append(line)
        products = content["products"][preset]
        lines.append(f"  its matrix products alone: {products['median_s']:.4f}")
    lines.append("parts, forward and backward alone: seconds")
    for name, row in content["parts"].items():
        lines.append(f"  {name:44s} {row['median_s']:7.4f} ({row['q1_s']:.4f}-{row['q3_s']:.4f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
