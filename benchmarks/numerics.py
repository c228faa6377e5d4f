"""Rounding errors: of every operator's value and gradients, and of a whole optimisation.

    python -m benchmarks.numerics --check

compares each implementation, and PyTorch, with the reference in float64 over all argument specs
of the tests, and fits of 50 steps with one in float64. Prints a table, writes
``benchmarks/results/numerics-<place>.json``. With ``--check`` it ends with 1
if an error of ours exceeds its tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

import s3net_jax as s3
from benchmarks.machine import has_torch, hold_little_memory, result_name
from benchmarks.metadata import metadata, write_result
from benchmarks.trajectory import trajectories
from s3net_kernels import IMPLEMENTATIONS, OPERATORS, UnsupportedError, config, implementations
from s3net_kernels._arg_specs import ArgSpec
from s3net_kernels._evaluation import call, cotangent, module, true_values, value_and_gradients
from s3net_kernels._tolerance import EPSILON, relative_error, tolerance

__all__ = ["main", "operator_errors"]


def operator_errors(spec: ArgSpec, dtype: str, names: list[str]) -> dict[str, dict[str, Any]]:
    """Implementation to its errors on one call: of the value, the gradients, and as a share of
    what the dtype allows.

    In bfloat16 what is allowed is twice PyTorch's error, as far as PyTorch is there.
    """
    args = _rounded(spec, dtype)
    g = cotangent(spec, args)
    expected = true_values(spec, g, args)
    found: dict[str, list[float]] = {}
    for name in names:
        try:
            actual = _compiled(spec, name)(g, *args)
        except UnsupportedError:
            continue
        found[name] = _errors(actual, expected)
    if has_torch():
        from benchmarks.torch_operators import torch_call

        made = torch_call(spec, args)
        if made is not None:
            results = made.value_and_gradients(made.cotangent(g))
            found["torch"] = _errors(made.in_jax_layout(results), expected)
    limits = [tolerance(dtype, n) for n in (spec.reduced, *spec.gradient_terms)]
    if dtype == "bfloat16" and "torch" in found:
        # Where PyTorch is plainly wrong, what the dtype allows.
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


def _compiled(spec: ArgSpec, name: str) -> Any:
    # TF32 is another precision, not another rounding.
    def run(*arrays: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return value_and_gradients(call(spec, name))(*arrays)

    return run


def _rounded(spec: ArgSpec, dtype: str) -> tuple[Any, ...]:
    """Arguments that are exact in both frameworks, which round parameters at other places."""
    args = spec.make(dtype=dtype)
    if dtype != "bfloat16" or spec.operator in ("deform_conv2d", "bilinear_sample", "affine_warp"):
        return args
    return (args[0], *jax.tree.map(lambda a: _through_bfloat16(a), args[1:]))


def _through_bfloat16(array: np.ndarray) -> np.ndarray:
    return array.astype(ml_dtypes.bfloat16).astype(array.dtype)


def _errors(actual: Any, expected: Any) -> list[float]:
    return [
        relative_error(np.asarray(jnp.asarray(a, jnp.float32) if _low(a) else a), e)
        for a, e in zip(actual, expected, strict=True)
    ]


def _low(array: Any) -> bool:
    return array.dtype == ml_dtypes.bfloat16


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numerics", description=__doc__)
    parser.add_argument("--operator", nargs="+", choices=OPERATORS, default=list(OPERATORS))
    parser.add_argument("--steps", type=int, default=50, help="of the whole optimisation")
    parser.add_argument("--size", type=int, default=64, help="side of its image")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--implementation", default="auto", help="of ours in the optimisation")
    parser.add_argument("--check", action="store_true", help="fail outside the tolerance")
    parser.add_argument(
        "--quick", action="store_true", help="one spec an operator, 3 steps of one preset"
    )
    parser.add_argument("--json", action="store_true", help="print the result file's content")
    args = parser.parse_args(arguments)
    hold_little_memory()
    rows = _operators(args.operator, args.quick)
    # On a GPU: dx by atomic additions, which the default takes, and without.
    names = sorted({row["implementation"] for row in rows})
    if "pallas" in names:
        with config(deterministic=True):
            extra = _operators(args.operator, args.quick, ["pallas"])
        rows += [{**r, "implementation": "pallas, deterministic"} for r in extra]
    fits = {}
    for preset in ("released",) if args.quick else ("paper", "released"):
        settings = s3.preset(preset).replace(
            model={"channels": args.channels, "implementation": args.implementation},
            fit={"steps": 3 if args.quick else args.steps},
        )
        size = 16 if args.quick else args.size
        fits[preset] = trajectories(settings, size, ("float32", "bfloat16"))
    content: dict[str, Any] = {
        "suite": "numerics",
        "operators": rows,
        "trajectories": fits,
        "size": args.size,
        "channels": args.channels,
        "metadata": metadata("python -m benchmarks.numerics " + " ".join(arguments)),
    }
    path = write_result(result_name("numerics-quick" if args.quick else "numerics"), content)
    print(json.dumps(content, indent=1) if args.json else _table(content) + f"\nWritten: {path}")
    outside = [r for r in rows if r["share_of_tolerance"] > 1 and r["implementation"] != "torch"]
    if args.check and outside:
        for row in outside:
            print(f"Outside its tolerance: {row}", file=sys.stderr)
        raise SystemExit(1)


def _operators(
    operators: list[str], quick: bool, only: list[str] | None = None
) -> list[dict[str, Any]]:
    """A row for each operator, dtype and implementation: its largest errors over all specs."""
    rows = []
    for operator in operators:
        there = implementations()[operator]
        names = only or [n for n in IMPLEMENTATIONS if n != "reference"]
        names = [n for n in names if there[n] is None]
        specs = [s for s in module(operator, "arg_specs").SPECS if s.dtype == "float32"]
        specs = specs[1:2] if quick else specs
        for dtype in ("float32", "bfloat16") if specs and names else ():
            worst: dict[str, dict[str, Any]] = {}
            for spec in specs:
                for name, errors in operator_errors(spec, dtype, names).items():
                    old = worst.setdefault(name, dict.fromkeys(errors, 0.0))
                    worst[name] = {k: max(old[k], errors[k]) for k in errors}
            for name, errors in worst.items():
                row = {"operator": operator, "dtype": dtype, "implementation": name}
                rows.append({**row, "calls": len(specs), **errors})
    return rows


def _table(content: dict[str, Any]) -> str:
    lines = ["largest error relative to the largest value: value, gradients, share of tolerance"]
    for row in content["operators"]:
        start = f"{row['operator']} {row['dtype']}"
        line = f"  {start:32s} {row['implementation']:22s} {row['value']:.1e} {row['gradient']:.1e}"
        lines.append(f"{line} {100 * row['share_of_tolerance']:6.1f} %")
    for preset, rows in content["trajectories"].items():
        lines.append(
            f"{preset}: cross entropy differs by, and labels agree with float64, first to last step"
        )
        for row in rows:
            losses, labels = row["cross_entropy"], row["labels"]
            marks = sorted({0, len(losses) // 4, len(losses) - 1})
            text = ", ".join(f"{losses[m]:.1e} / {100 * labels[m]:.1f} %" for m in marks)
            lines.append(f"  {row['implementation']:22s} {row['dtype']:9s} {text}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
