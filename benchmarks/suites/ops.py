"""Time each operator by implementation, direction, shape and dtype, beside PyTorch.

    python -m benchmarks ops --operator deform_conv2d --dtype float32

prints a table and writes ``benchmarks/results/ops-<place>.json``. Each call is compared with its
roofline: the longer of its arithmetic at the rate of a square matrix product and of its memory
traffic at the rate of a copy, both timed in the same run. On a CPU the process keeps freed memory,
so that neither framework pays for page faults. On a GPU a short call is timed several times in a
row, because its launch would otherwise take longer than the call.

The file is rewritten after every call, so an interrupted run keeps its results.

``--load MODULE`` imports a module that registers implementations, which are timed beside ours.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.harness.machine import (
    allow_tf32,
    build_result_name,
    has_torch,
    hold_little_memory,
    synchronise,
)
from benchmarks.harness.metadata import collect_metadata, format_json, write_result
from benchmarks.harness.options import DTYPES, Parser, is_usual, parse_positive
from benchmarks.harness.roofline import (
    compute_attainable_seconds,
    count_traffic,
    count_work,
    measure_ceilings,
)
from s3net_kernels import OPERATORS, implementations, keep_memory
from s3net_kernels.testing import (
    DIRECTIONS,
    ArgSpec,
    compile_calls,
    list_benchmarks,
    list_specs,
    make_timer,
    ratio,
    summarise,
    time_calls,
)

__all__ = ["main"]

Call = Callable[[], float]
"""Function that runs a call and returns its time in seconds."""


def specs(operator: str, quick: bool) -> tuple[ArgSpec, ...]:
    """Return the shapes of the network, or one small shape if ``quick``."""
    return list_specs(operator)[1:2] if quick else list_benchmarks(operator)


def build_torch_calls(spec: ArgSpec, args: tuple[Any, ...]) -> dict[str, Call]:
    """Build the same call in PyTorch, by direction; empty if the reference has no equivalent."""
    from benchmarks.harness.torch_operators import build_torch_call

    allow_tf32()
    made = build_torch_call(spec, args)
    if made is None:
        return {}
    value = made.value()
    g = value.detach().clone().normal_()

    def run_forward() -> None:
        import torch

        with torch.no_grad():
            made.value()

    def run_both() -> None:
        made.value_and_gradients(g)

    return {
        direction: make_timer(run, lambda _: synchronise())
        for direction, run in zip(DIRECTIONS, (run_forward, run_both), strict=True)
    }


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser("ops", __doc__)
    parser.add_argument("--operator", nargs="+", choices=OPERATORS, default=list(OPERATORS))
    parser.add_argument("--implementation", nargs="+", help="default: all but reference")
    parser.add_argument("--load", metavar="MODULE", help="module that registers implementations")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--repeats", type=parse_positive, default=7)
    parser.add_argument(
        "--limit", type=float, default=10.0, help="seconds; slow calls are repeated less often"
    )
    parser.add_argument("--quick", action="store_true", help="small shapes, two repeats")
    args = parser.parse_args(arguments)
    if args.load:
        try:
            importlib.import_module(args.load)
        except ImportError as error:
            parser.error(f"--load {args.load}: {error}")
    known = {name for row in implementations().values() for name in row}
    for unknown in (n for n in args.implementation or () if n not in known):
        listed = ", ".join(sorted(known))
        parser.error(f"--implementation: there is no {unknown!r}; choose from {listed}")
    hold_little_memory()
    keep_memory()
    if args.quick:
        args.repeats = 2
    name = build_result_name("ops-quick" if args.quick else "ops")
    whole = not (args.implementation or args.load) and is_usual(args.dtype, DTYPES)
    narrowed = not args.quick and not (whole and is_usual(args.operator, OPERATORS))
    parser.claim(name, arguments, narrowed=narrowed, overwrite=args.overwrite)
    limits = measure_ceilings(args.dtype, args.repeats, args.quick)
    content: dict[str, Any] = {
        "suite": "ops",
        "ceilings": limits,
        "rows": [],
        "metadata": collect_metadata(parser.command(arguments)),
    }
    for rows in _measure_rows(args, limits):
        content["rows"] += rows
        write_result(name, content)
        if not args.json:
            print(*map(_format_line, rows), sep="\n", flush=True)
    path = write_result(name, content)
    print(format_json(content) if args.json else f"Written: {path}")


def _measure_rows(
    args: argparse.Namespace, limits: dict[str, float]
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each call."""
    for operator in args.operator:
        there = implementations()[operator]
        names = args.implementation or [n for n in there if n != "reference"]
        names = [n for n in names if n in there and there[n] is None]
        for spec in specs(operator, args.quick):
            for dtype in args.dtype:
                yield _measure(spec, dtype, names, args, limits)


def _measure(
    spec: ArgSpec,
    dtype: str,
    names: list[str],
    options: argparse.Namespace,
    limits: dict[str, float],
) -> list[dict[str, Any]]:
    args = jax.tree.map(jnp.asarray, spec.make(dtype=dtype))
    # PyTorch multiplies bfloat16 matrices in bfloat16, so let ours do the same.
    low = dtype == "bfloat16"
    with jax.default_matmul_precision("bfloat16") if low else nullcontext():
        built = {name: dict(compile_calls(spec, name, args)) for name in names}
    if has_torch():
        built["torch"] = build_torch_calls(spec, spec.make(dtype=dtype))
    rows = []
    timed = time_calls(built, repeats=options.repeats, limit_s=options.limit)
    for direction, seconds in timed:
        backward = direction != DIRECTIONS[0]
        for name, values in seconds.items():
            summary = summarise(values)
            row: dict[str, Any] = {
                "operator": spec.operator,
                "call": spec.name,
                "dtype": dtype,
                "direction": direction,
                "implementation": name,
                **summary,
                "gflop_per_s": count_work(spec, backward) / summary["median_s"] / 1e9,
                "gb_per_s": count_traffic(spec, dtype, backward) / summary["median_s"] / 1e9,
                "share_of_roofline": compute_attainable_seconds(spec, dtype, backward, limits)
                / summary["median_s"],
            }
            if "torch" in seconds and name != "torch":
                row["times_faster_than_torch"] = ratio(seconds["torch"], values)
            rows.append(row)
    return rows


def _format_line(row: dict[str, Any]) -> str:
    start = f"{row['operator']} {row['call']} {row['dtype']}, {row['direction']}"
    line = f"{start:78s} {row['implementation']:7s} {1e3 * row['median_s']:9.3f} ms"
    line += f" {row['gflop_per_s']:7.1f} GFLOP/s {row['gb_per_s']:6.1f} GB/s"
    line += f" {100 * row['share_of_roofline']:4.0f} %"
    faster = row.get("times_faster_than_torch")
    return line + (f" {faster['median']:6.2f}×" if faster else "")


if __name__ == "__main__":
    main()
