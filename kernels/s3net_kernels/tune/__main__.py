"""Measure the block sizes of the Pallas kernels and write the table of this GPU.

    python -m s3net_kernels.tune --budget 500

Every problem of a network's step gets a share of the budget. The table is rewritten after every
problem; to resume an interrupted run, repeat the command.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from s3net_kernels import config
from s3net_kernels._pallas import tuning
from s3net_kernels.tune.facts import facts
from s3net_kernels.tune.kernels import KERNELS
from s3net_kernels.tune.problems import list_problems
from s3net_kernels.tune.search import tune

__all__ = ["main"]

_DTYPES = ("float32", "bfloat16")


def main(arguments: list[str] | None = None) -> int:
    """Run the tuner; return 0, or 1 if there is no GPU or a kernel could not be tuned."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parser().parse_args(arguments)
    # By default JAX takes most of the GPU's memory, and other processes could not measure.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    device = "interpret" if args.interpret else tuning.find_device()
    if device is None:
        print("No GPU found. Pass --interpret to test the tuner without one.", file=sys.stderr)
        return 1
    path = tuning.locate_table(device, args.folder)
    table = _read(path)
    wanted = list_problems(args.size, args.channels, tuple(args.images), tuple(args.dtype))
    wanted = [p for p in wanted if not args.kernel or p.kernel in args.kernel]
    pending = [p for p in wanted if args.again or p.key not in table["entries"]]
    print(f"{device}: {len(pending)} of {len(wanted)} problems to measure; {path}")
    end, failures = time.perf_counter() + args.budget, 0
    with config(interpret=True) if args.interpret else nullcontext():
        for n, problem in enumerate(pending):
            left = end - time.perf_counter()
            if left <= 0 and n:
                print(f"The budget is spent; {len(pending) - n} problems remain for the next run.")
                break
            try:
                entry = tune(problem, left / (len(pending) - n), args.most)
            except Exception as error:
                failures += 1
                print(f"{problem.key}: {error}", file=sys.stderr)
                continue
            table["entries"][problem.key] = entry
            table |= {
                "device": device,
                "compute_capability": None if args.interpret else tuning.find_capability(),
                "metadata": facts("python -m s3net_kernels.tune " + " ".join(arguments)),
            }
            _write(path, table)
            print(f"{problem.key}: {_describe(entry)}", flush=True)
    tuning.clear_tables()
    return int(failures > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m s3net_kernels.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--budget", type=float, default=500, help="seconds for all problems")
    parser.add_argument("--size", type=_positive, default=256, help="side of the images in pixels")
    parser.add_argument("--channels", type=_positive, default=64, help="channels of the network")
    parser.add_argument(
        "--images", type=_positive, nargs="+", default=[1, 8, 64], help="images fitted at once"
    )
    parser.add_argument("--dtype", nargs="+", choices=_DTYPES, default=list(_DTYPES))
    parser.add_argument("--kernel", nargs="+", choices=KERNELS, help="kernels (default: all)")
    parser.add_argument(
        "--again", action="store_true", help="measure problems that the table already has"
    )
    parser.add_argument("--most", type=_positive, help="maximum number of candidates a problem")
    parser.add_argument(
        "--folder",
        type=Path,
        default=tuning.find_user_folder(),
        help="folder of the table (default: $S3NET_KERNELS_TUNED, or the user's cache folder)",
    )
    parser.add_argument(
        "--interpret",
        action="store_true",
        help="test the tuner without a GPU, in interpret mode; the timings mean nothing",
    )
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return number


def _describe(entry: dict[str, Any]) -> str:
    text = f"{entry['microseconds']:.1f} µs with {entry['blocks']}"
    if entry["heuristic_microseconds"] is not None:
        text += f", {entry['heuristic_microseconds'] / entry['microseconds']:.2f}× the heuristic"
    return f"{text} ({entry['tried']} of {entry['candidates']})"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {"entries": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, table: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
