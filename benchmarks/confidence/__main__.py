"""Run ``python -m benchmarks.confidence``; see the package's docstring."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import benchmarks.confidence
from benchmarks.confidence.images import list_samples, write_maps
from benchmarks.confidence.report import write_report
from benchmarks.confidence.results import SOURCES
from benchmarks.confidence.rows import digest_code, measure_samples, read_rows
from benchmarks.confidence.volumes import measure_true_neighbours, measure_volumes

__all__ = ["main"]

_TASKS = ("fit", "measure", "volumes", "report")


def main(arguments: list[str] | None = None) -> int:
    """Fit the images, measure their results and write the report; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.confidence",
        description=benchmarks.confidence.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--maps", type=Path, required=True, help="folder of label maps and rows")
    parser.add_argument("--only", choices=_TASKS, help="what to do (default: everything)")
    args = parser.parse_args(arguments)
    samples = list_samples(args.data)

    def say(text: str) -> None:
        print(text, flush=True)

    if args.only in (None, "fit"):
        for setting in SOURCES:
            write_maps(samples[: setting.images], setting.fits, args.maps, say)
    if args.only in (None, "measure"):
        measure_samples(samples, SOURCES, args.maps, say)
    place = args.maps / f"volumes-{digest_code()}.json"
    if args.only == "volumes" or (args.only is None and not place.exists()):
        volumes = measure_volumes(args.data, say)
        content = {"volumes": volumes, "true_neighbours": measure_true_neighbours(args.data)}
        place.write_text(json.dumps(content))
    if args.only in (None, "report"):
        more = json.loads(place.read_text())
        write_report(read_rows(samples, SOURCES, args.maps), more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
