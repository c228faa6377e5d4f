"""Time one optimisation step: our implementations beside the PyTorch reference.

    python -m benchmarks step --size 256 --channels 64

prints a table and writes ``benchmarks/results/step-<size>-<channels>-<place>.json``: time of a
step, ratios, compile time and peak memory (each candidate in a separate process), the time of each
part of the step, forward and backward, and the time of only its matrix products.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks.harness.candidates import (
    COMPILED,
    EAGER,
    KEPT,
    OURS,
    PLAIN,
    STOCK,
    TORCH,
    USUAL,
    list_step_candidates,
)
from benchmarks.harness.machine import build_result_name, hold_little_memory
from benchmarks.harness.metadata import collect_metadata, format_json, write_result
from benchmarks.harness.options import DTYPES, Parser, is_usual, parse_positive
from benchmarks.harness.parts import time_parts
from benchmarks.harness.products import time_products
from benchmarks.harness.worker import add_rows, end_without_ours, measure
from s3net_jax import PRESETS
from s3net_kernels import keep_memory
from s3net_kernels.testing import ratio, summarise

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser("step", __doc__)
    parser.add_argument("--size", type=parse_positive, default=256)
    parser.add_argument("--channels", type=parse_positive, default=64)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument(
        "--preset", action="append", choices=PRESETS, help="default: paper and released"
    )
    parser.add_argument("--repeats", type=parse_positive, default=7)
    parser.add_argument(
        "--limit", type=float, default=60.0, help="seconds; slow candidates are repeated less often"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the candidates to time")
    parser.add_argument("--quick", action="store_true", help="24×24, 8 channels, two repeats")
    args = parser.parse_args(arguments)
    hold_little_memory()
    keep_memory()  # parts and products are timed in this process
    if args.quick:
        args.size, args.channels, args.repeats = 24, 8, 2
    content: dict[str, Any] = {
        "suite": "step",
        "size": args.size,
        "channels": args.channels,
        "dtype": args.dtype,
        "presets": {},
        "products": {},
        "metadata": collect_metadata(parser.command(arguments)),
    }
    name = build_result_name(
        "step", args.size, args.channels, *[args.dtype] * (args.dtype != "float32")
    )
    path = None
    presets = args.preset or USUAL
    offered = list_step_candidates(presets[0], args.size, args.channels, args.dtype)
    parser.check_names(args.only, offered, TORCH)
    narrowed = not args.quick and not (args.only is None and is_usual(presets, USUAL))
    parser.claim(name, arguments, narrowed=narrowed, overwrite=args.overwrite)
    for preset in presets:
        if not add_rows(content, preset, *_measure(preset, args)):
            continue
        content["products"][preset] = time_products(
            preset, args.size, args.channels, args.dtype, args.repeats
        )
        if "parts" not in content:
            content["parts"] = time_parts(args.size, args.channels, args.repeats)
        # Write after each preset, so that an interrupted run keeps its results.
        path = write_result(name, content)
    if path is not None:
        print(format_json(content) if args.json else _format_table(content) + f"\nWritten: {path}")
    end_without_ours(content)


def _measure(preset: str, args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """Return name → row, and name → reason for candidates that failed."""
    candidates = list_step_candidates(preset, args.size, args.channels, args.dtype)
    wanted = {n: c for n, c in candidates.items() if n in (args.only or n)}
    found, left_out = measure(wanted, args.repeats, args.limit)
    result: dict[str, Any] = {}
    for name, (seconds, compile_seconds, peak) in found.items():
        row: dict[str, Any] = {**summarise(seconds), "compile_s": compile_seconds, "peak_mib": peak}
        result[name] = row
        for other, key in (
            (EAGER, "times_faster_than_torch"),
            (PLAIN, "times_faster_than_torch_plain"),
            (COMPILED, "times_faster_than_torch_compile"),
            (STOCK, "times_faster_than_stock_flax"),
        ):
            # Compare candidates that keep freed memory only with each other.
            other += KEPT * name.endswith(KEPT)
            if other in found and name.startswith(OURS):
                row[key] = ratio(found[other].seconds, seconds)
    return result, left_out


def _format_table(content: dict[str, Any]) -> str:
    lines = [f"One step at {content['size']}×{content['size']}, {content['channels']} channels"]
    for preset, rows in content["presets"].items():
        lines.append(f"{preset}: seconds per step (quartiles), compile, peak memory, against torch")
        for name, row in rows.items():
            line = f"  {name:20s} {row['median_s']:7.4f} ({row['q1_s']:.4f}-{row['q3_s']:.4f})"
            line += f" {row['compile_s']:6.1f} s {row['peak_mib']:7.0f} MiB"
            for key in ("torch", "torch_plain", "torch_compile", "stock_flax"):
                faster = row.get(f"times_faster_than_{key}")
                line += f"  {faster['median']:.2f}×" if faster else ""
            lines.append(line)
        products = content["products"][preset]
        lines.append(f"  only its matrix products: {products['median_s']:.4f}")
    lines.append("each part by itself, forward and backward: seconds")
    for name, row in content["parts"].items():
        lines.append(f"  {name:44s} {row['median_s']:7.4f} ({row['q1_s']:.4f}-{row['q3_s']:.4f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
