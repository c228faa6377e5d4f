"""Run ``python -m benchmarks.confidence``; see the package's docstring."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import benchmarks.confidence
from benchmarks.confidence.images import list_samples, write_maps
from benchmarks.confidence.report import measure_samples, write_report
from s3net_jax.presets import preset

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Fit the images or write the report; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.confidence",
        description=benchmarks.confidence.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", choices=("fit", "measure", "report"), help="what to do")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--maps", type=Path, required=True, help="folder of label maps")
    args = parser.parse_args(arguments)
    samples = list_samples(args.data)

    def say(text: str) -> None:
        print(text, flush=True)

    if args.task == "fit":
        write_maps(samples, preset("best"), args.maps, say)
    elif args.task == "measure":
        measure_samples(samples, args.maps, say)
    else:
        write_report(samples, args.maps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
