"""The command ``bench``, which runs the benchmarks of a checkout."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from s3net_jax.errors import UsageError

__all__ = ["run_bench"]


def run_bench(args: argparse.Namespace) -> int:
    """Run ``s3net bench``: one suite, or without a name the list of suites.

    The benchmarks are no part of the package: they measure it from outside and write into the
    checkout they are in. So they run in a process of their own, as ``python -m benchmarks`` does.

    Raises:
      UsageError: the working folder is no checkout.
    """
    if not os.path.isfile(os.path.join("benchmarks", "suites", "__init__.py")):
        raise UsageError(
            "The benchmarks are not here: run s3net bench in the folder of a checkout of s3net-jax."
        )
    words = [] if args.suite is None else [args.suite, *args.arguments]
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "benchmarks", *words], check=False).returncode
