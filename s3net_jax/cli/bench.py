"""Run the benchmarks of a checkout: the command ``bench``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from s3net_jax.errors import UsageError

__all__ = ["run_bench"]


def run_bench(args: argparse.Namespace) -> int:
    """Run one benchmark suite, or list all suites if none is named.

    The benchmarks are not part of the package: they measure it from outside and write into their
    checkout. They run in a separate process, as ``python -m benchmarks`` does.

    Args:
      args: parsed arguments of ``s3net bench``.

    Returns:
      The exit code of the benchmarks.

    Raises:
      UsageError: the working folder is not a checkout.
    """
    if not os.path.isfile(os.path.join("benchmarks", "suites", "__init__.py")):
        raise UsageError(
            "This folder contains no benchmarks: run s3net bench in a checkout of s3net-jax."
        )
    words = [] if args.suite is None else [args.suite, *args.arguments]
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "benchmarks", *words], check=False).returncode
