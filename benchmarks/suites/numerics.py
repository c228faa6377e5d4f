"""Measure rounding errors of every operator's value and gradients, and of whole fits.

    python -m benchmarks numerics --check

compares each implementation, and PyTorch, with the float64 reference over all argument specs of the
tests, and fits of 50 steps with a float64 fit. It prints rows as they are measured and rewrites
``benchmarks/results/numerics-<place>.json`` (``numerics-fits-<place>.json`` with ``--only fits``)
after every operator. With ``--check`` the exit code is 1 if one of our errors exceeds its
tolerance, or if the kernels of the platform (native on a CPU, Pallas on a GPU) served no call of an
operator.
"""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from benchmarks.harness.machine import (
    build_result_name,
    has_torch,
    hold_little_memory,
    is_on_gpu,
    use_tf32,
)
from benchmarks.harness.metadata import collect_metadata, format_json, write_result
from benchmarks.harness.options import DTYPES, Parser, is_usual, parse_positive
from benchmarks.harness.presets import load_preset
from benchmarks.harness.trajectory import compare_trajectories
from s3net_kernels import IMPLEMENTATIONS, OPERATORS, UnsupportedError, config, implementations
from s3net_kernels.testing import (
    EPSILON,
    ArgSpec,
    compute_reference,
    load_module,
    make_cotangent,
    make_function,
    relative_error,
    tolerance,
    value_and_gradients,
)

__all__ = ["main", "measure_operator_errors"]

_DETERMINISTIC = ", deterministic"
"""Suffix of implementations without atomic additions, which are the default on a GPU."""
_THREADS = min(8, os.cpu_count() or 1)
"""Number of calls measured at once. Compilation dominates the time, and it runs in parallel."""


def measure_operator_errors(
    spec: ArgSpec, dtype: str, names: list[str]
) -> dict[str, dict[str, Any]]:
    """Measure the errors of each implementation on one call.

    In bfloat16, the tolerance is twice PyTorch's error if PyTorch is installed.

    Args:
      spec: operator and arguments of the call.
      dtype: dtype of the arguments.
      names: implementations; ``"pallas, deterministic"`` runs without atomic additions.

    Returns:
      Implementation → relative errors ``value`` and ``gradient``, and ``share_of_tolerance``.
    """
    args = _round_arguments(spec, dtype)
    g = make_cotangent(spec, args)
    expected = compute_reference(spec, g, args)
    found: dict[str, list[float]] = {}
    for name in names:
        try:
            actual = _compile(spec, name)(g, *args)
        except UnsupportedError:
            continue
        found[name] = _compute_errors(actual, expected)
    if has_torch():
        from benchmarks.harness.torch_operators import build_torch_call

        made = build_torch_call(spec, args)
        if made is not None:
            results = made.value_and_gradients(made.cotangent(g))
            found["torch"] = _compute_errors(made.to_jax_layout(results), expected)
    limits = [tolerance(dtype, n) for n in (spec.reduced, *spec.gradient_terms)]
    if dtype == "bfloat16" and "torch" in found:
        # Never above what the dtype allows, in case PyTorch's own error is too large.
        twice = [min(2 * e, limit) for e, limit in zip(found["torch"], limits, strict=True)]
        limits = [max(limit, EPSILON[dtype]) for limit in twice]
    return {
        name: {
            "value": errors[0],
            "gradient": max(errors[1:]),
            "share_of_tolerance": max(e / t for e, t in zip(errors, limits, strict=True)),
        }
        for name, errors in found.items()
    }


def _compile(spec: ArgSpec, name: str) -> Any:
    plain = name.removesuffix(_DETERMINISTIC)

    def run(*arrays: Any) -> Any:
        deterministic = None if plain == name else True
        with jax.default_matmul_precision("highest"), config(deterministic=deterministic):
            return value_and_gradients(make_function(spec, plain))(*arrays)

    return run


def _round_arguments(spec: ArgSpec, dtype: str) -> tuple[Any, ...]:
    """Make arguments that are exact in both frameworks, which round at different points."""
    args = spec.make(dtype=dtype)
    if dtype != "bfloat16" or spec.operator in ("deform_conv2d", "bilinear_sample", "affine_warp"):
        return args
    return (args[0], *jax.tree.map(lambda a: _round_to_bfloat16(a), args[1:]))


def _round_to_bfloat16(array: np.ndarray) -> np.ndarray:
    return array.astype(ml_dtypes.bfloat16).astype(array.dtype)


def _compute_errors(actual: Any, expected: Any) -> list[float]:
    """Compute relative errors; infinite for NaN results, which would pass every comparison."""
    errors = [
        relative_error(np.asarray(jnp.asarray(a, jnp.float32) if _is_low_precision(a) else a), e)
        for a, e in zip(actual, expected, strict=True)
    ]
    return [e if math.isfinite(e) else math.inf for e in errors]


def _is_low_precision(array: Any) -> bool:
    return array.dtype == ml_dtypes.bfloat16


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser("numerics", __doc__)
    parser.add_argument("--operator", nargs="+", choices=OPERATORS, default=list(OPERATORS))
    parser.add_argument(
        "--steps", type=parse_positive, default=50, help="number of steps of the whole fits"
    )
    parser.add_argument(
        "--size", type=parse_positive, default=64, help="image size of the fits, in pixels"
    )
    parser.add_argument("--channels", type=parse_positive, default=16)
    parser.add_argument(
        "--implementation",
        choices=("auto", *IMPLEMENTATIONS),
        default="auto",
        help="implementation of the operators in our fits",
    )
    parser.add_argument("--only", choices=("operators", "fits"), help="default: both")
    parser.add_argument("--check", action="store_true", help="exit with 1 above the tolerance")
    parser.add_argument(
        "--processes",
        type=parse_positive,
        help="processes that measure operators (default: 1; on a GPU one per 4 CPU cores)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one spec per operator, one fit of 3 steps"
    )
    args = parser.parse_args(arguments)
    hold_little_memory()
    content: dict[str, Any] = {
        "suite": "numerics",
        "operators": [],
        "trajectories": {},
        "size": args.size,
        "channels": args.channels,
        "metadata": collect_metadata(parser.command(arguments)),
    }
    parts = ["numerics", *["quick"] * args.quick, *["fits"] * (args.only == "fits")]
    name = build_result_name(*parts)
    settings = ("steps", "size", "channels", "implementation")
    whole = all(getattr(args, s) == parser.get_default(s) for s in settings)
    whole = whole and args.only != "operators" and is_usual(args.operator, OPERATORS)
    parser.claim(name, arguments, narrowed=not (args.quick or whole), overwrite=args.overwrite)

    def save_and_print(lines: list[str]) -> None:
        # Write after each part, so that an interrupted run keeps its results.
        write_result(name, content)
        if not args.json:
            print(*lines, sep="\n", flush=True)

    if args.only != "fits":
        save_and_print(
            ["largest error relative to the largest value: value, gradients, share of tolerance"]
        )
        for rows in _measure_operators(
            args.operator, args.quick, args.processes or _count_processes()
        ):
            content["operators"] += rows
            save_and_print([*map(_format_operator_line, rows)])
    for preset in _choose_presets(args.only, args.quick):
        settings = load_preset(preset).replace(
            model={"channels": args.channels, "implementation": args.implementation},
            fit={"steps": 3 if args.quick else args.steps},
        )
        size = 16 if args.quick else args.size
        dtypes = ("float32",) if args.quick else DTYPES
        # Compare fits as they run by default: on a GPU, products use TF32.
        with use_tf32(True) if has_torch() else nullcontext():
            fits = compare_trajectories(settings, size, dtypes)
        content["trajectories"][preset] = fits
        start = "cross entropy differs by, and labels agree with float64, first to last step"
        save_and_print([f"{preset}: {start}", *map(_format_fit_line, fits)])
    path = write_result(name, content)
    print(format_json(content) if args.json else f"Written: {path}")
    asked = [] if args.only == "fits" else args.operator
    if args.check and (faults := _list_faults(content, asked)):
        print(*faults, sep="\n", file=sys.stderr)
        raise SystemExit(1)


def _list_faults(content: dict[str, Any], operators: list[str]) -> list[str]:
    """List what fails ``--check``, a line each: operators that the platform's own kernels did not
    serve, and errors outside the tolerance."""
    own = "pallas" if is_on_gpu() else "native"
    served = {(r["operator"], r["dtype"], r["implementation"]) for r in content["operators"]}
    there = implementations()
    missing = [
        f"Not checked: {operator} {dtype} by {own}: {there[operator][own] or 'no call was served'}."
        for operator in operators
        for dtype in DTYPES
        if (operator, dtype, own) not in served
    ]
    return missing + [
        f"Outside its tolerance: {_format_operator_line(row).strip()}"
        for row in content["operators"]
        if row["share_of_tolerance"] > 1 and row["implementation"] != "torch"
    ]


def _choose_presets(only: str | None, quick: bool) -> tuple[str, ...]:
    if only == "operators":
        return ()
    return ("released",) if quick else ("paper", "released")


def _count_processes() -> int:
    """Choose the number of processes: compilation for a GPU mostly uses one thread of a process."""
    return min(4, max(1, (os.cpu_count() or 1) // 4)) if is_on_gpu() else 1


def _measure_operators(
    operators: list[str], quick: bool, processes: int
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each operator, in order."""
    rows = functools.partial(_measure_rows, quick=quick)
    if processes == 1 or len(operators) == 1:
        yield from map(rows, operators)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(operators)), context) as pool:
        yield from pool.map(rows, operators)


def _measure_rows(operator: str, quick: bool) -> list[dict[str, Any]]:
    """Make a row for each dtype and implementation, with its largest errors over all specs."""
    hold_little_memory()
    there = implementations()[operator]
    names = [n for n in IMPLEMENTATIONS if n != "reference" and there[n] is None]
    # On a GPU, check dx both with atomic additions (the default) and without.
    names += [n + _DETERMINISTIC for n in names if n == "pallas"]
    described = load_module(operator, "arg_specs")
    specs = [s for s in described.SPECS or described.CHECKS if s.dtype == "float32"]
    specs = specs[1:2] if quick else specs
    rows = []
    for dtype in DTYPES if specs and names else ():
        worst: dict[str, dict[str, Any]] = {}
        run = functools.partial(measure_operator_errors, dtype=dtype, names=names)
        # TF32 is a lower precision, not a rounding difference, so disable it on both sides.
        exact = use_tf32(False) if has_torch() else nullcontext()
        with exact, ThreadPoolExecutor(_THREADS) as pool:
            for errors_of in pool.map(run, specs):
                for name, errors in errors_of.items():
                    old = worst.setdefault(name, {"calls": 0, **dict.fromkeys(errors, 0.0)})
                    worst[name] = {k: max(old[k], errors[k]) for k in errors}
                    worst[name]["calls"] = old["calls"] + 1
        for name, errors in worst.items():
            rows.append({"operator": operator, "dtype": dtype, "implementation": name} | errors)
    return rows


def _format_operator_line(row: dict[str, Any]) -> str:
    start = f"{row['operator']} {row['dtype']}"
    line = f"  {start:32s} {row['implementation']:22s} {row['value']:.1e} {row['gradient']:.1e}"
    return f"{line} {100 * row['share_of_tolerance']:6.1f} % of {row['calls']} calls"


def _format_fit_line(row: dict[str, Any]) -> str:
    losses, labels = row["cross_entropy"], row["labels"]
    marks = sorted({0, len(losses) // 4, len(losses) - 1})
    text = ", ".join(f"{losses[m]:.1e} / {100 * labels[m]:.1f} %" for m in marks)
    return f"  {row['implementation']:22s} {row['dtype']:9s} {text}"


if __name__ == "__main__":
    main()
