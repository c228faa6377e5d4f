"""The command ``bench``, which runs the benchmarks of a checkout."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from s3net_jax.errors import UsageError, suggest_nearest

__all__ = ["run_bench"]


def run_bench(args: argparse.Namespace) -> int:
    """Run ``s3net bench``: one suite, or without a name the list of suites."""
    # The benchmarks are not installed: they write their results into the checkout they are in.
    is_checkout = os.path.isfile(os.path.join("benchmarks", "suites", "__init__.py"))
    if is_checkout and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        suites = importlib.import_module("benchmarks.suites")
    except ModuleNotFoundError as error:
        if error.name not in ("benchmarks", "benchmarks.suites"):
            raise
        raise UsageError(
            "The benchmarks are not here: run s3net bench in the folder of a checkout of s3net-jax."
        ) from None
    if args.suite is None:
        print(suites.list_suites())
        return 0
    if args.suite not in suites.SUITES:
        hint = suggest_nearest(args.suite, list(suites.SUITES))
        raise UsageError(f"There is no suite {args.suite!r}.{hint}")
    suites.run(args.suite, args.arguments)
    return 0
