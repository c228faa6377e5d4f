"""Profile where a fit spends its time on the device, kernel by kernel.

    python -m benchmarks trace --images 32

prints milliseconds per image and step of every kernel, slowest first, with its position in the
program, and finally the wall time of the fit, which includes idle time. It writes no file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from benchmarks.harness.candidates import OURS, Candidate, build
from benchmarks.harness.machine import hold_little_memory
from benchmarks.harness.options import DTYPES, parse_positive
from s3net_jax import PRESETS
from s3net_kernels.tune import profile_kernels

__all__ = ["main"]

_NAMES = {"auto": OURS, "xla": f"{OURS}, XLA only"}


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m benchmarks trace", description=__doc__)
    parser.add_argument("--size", type=parse_positive, default=256)
    parser.add_argument("--channels", type=parse_positive, default=64)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["float32"])
    parser.add_argument("--preset", nargs="+", choices=PRESETS, default=["paper"])
    parser.add_argument(
        "--images", type=parse_positive, nargs="+", default=[1], help="images fitted at once"
    )
    parser.add_argument("--steps", type=parse_positive, default=4)
    parser.add_argument("--implementation", choices=_NAMES, default="auto")
    parser.add_argument("--most", type=parse_positive, default=40, help="maximum rows of a table")
    args = parser.parse_args(arguments)
    hold_little_memory()
    for preset in args.preset:
        for dtype in args.dtype:
            for images in args.images:
                candidate = Candidate(
                    "fit",
                    _NAMES[args.implementation],
                    preset,
                    args.size,
                    args.channels,
                    dtype,
                    args.steps,
                    images,
                )
                print(*_format_table(candidate, args.most), sep="\n", flush=True)


def _format_table(candidate: Candidate, most: int) -> Iterator[str]:
    run, _ = build(candidate)
    run()
    start = time.perf_counter()
    run()
    wall = time.perf_counter() - start
    spent, calls = profile_kernels(run)
    share = 1e3 / (candidate.images * candidate.steps)
    yield (
        f"{candidate.preset} {candidate.dtype}, {candidate.images} images: ms per image and step, "
        "calls a step"
    )
    for (name, source), seconds in spent.most_common(most):
        count = calls[name, source] / candidate.steps
        yield f"  {seconds * share:7.4f} {count:6.1f}  {name[:44]:44s} {source[-70:]}"
    rest = len(spent) - most
    if rest > 0:
        lesser = sum(spent.values()) - sum(s for _, s in spent.most_common(most))
        yield f"  {lesser * share:7.4f}         {rest} others"
    yield f"  {sum(spent.values()) * share:7.4f}         all kernels"
    yield f"  {wall * share:7.4f}         the fit without the profiler, begin and end included"


if __name__ == "__main__":
    main()
