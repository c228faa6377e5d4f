"""Measure the throughput of batches, sweeps and engines on many images.

    python -m benchmarks many --images ../shared/data/ph2/images --count 8

prints a table and writes ``benchmarks/results/many-<folder>-<place>.json``: images per minute of
single fits, of batches and of the PyTorch reference in a loop, early stops included; a sweep over
loss weights as one program and as one run per setting; and the command in one process, in two
processes that share a folder, and with ``--engine processes``. Without ``--images``, synthetic
pictures are used.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image as PilImage

import s3net_jax as s3
from benchmarks.harness.machine import (
    allow_tf32,
    build_result_name,
    get_torch_device,
    has_torch,
    hold_little_memory,
    is_on_gpu,
)
from benchmarks.harness.metadata import collect_metadata, format_json, write_result
from benchmarks.harness.options import Parser, parse_positive
from benchmarks.harness.presets import load_preset
from s3net_jax.cli.arguments import UsageError
from s3net_jax.config import Config
from s3net_jax.errors import InputError
from s3net_jax.fitting import fit, fit_batch, grid
from s3net_jax.io import prepare, read
from s3net_jax.run import discover
from s3net_kernels.testing import interleave, ratio, summarise

__all__ = ["main"]

_VALUES = {  # 27 settings around those of the paper
    "weight_ce": (1.0, 1.2, 1.4),
    "weight_affine": (0.2, 0.3, 0.4),
    "weight_spatial": (0.2, 0.3, 0.4),
}


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser("many", __doc__)
    parser.add_argument("--images", metavar="DIR", help="folder of pictures (default: synthetic)")
    parser.add_argument("--count", type=parse_positive, default=8, help="number of pictures")
    parser.add_argument(
        "--preset", choices=s3.PRESETS, default="released", help="preset of the fits"
    )
    parser.add_argument("--batch", type=parse_positive, default=64 if is_on_gpu() else 4)
    parser.add_argument("--repeats", type=parse_positive, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny fits, one repeat, no processes")
    args = parser.parse_args(arguments)
    hold_little_memory()
    config = load_preset(args.preset)
    sweep = load_preset("fast").replace(fit={"steps": 10})
    if args.quick:
        args.count, args.repeats, args.batch = 2, 1, 2
        tiny = {"input": {"size": 24}, "model": {"channels": 8, "blocks": 1}, "fit": {"steps": 2}}
        config, sweep = config.replace(**tiny), sweep.replace(**tiny)
    name = _name_source(args).replace(" pictures", "")
    name = build_result_name("many", name, *["quick"] * args.quick)
    parser.claim(name, arguments, narrowed=False, overwrite=args.overwrite)
    try:
        pictures = _load_pictures(args, config)
    except (UsageError, InputError) as error:
        parser.error(f"--images {args.images}: {error}")
    content: dict[str, Any] = {
        "suite": "many",
        "preset": args.preset,
        "size": config.input.size,
        "channels": config.model.channels,
        "source": _name_source(args),
        "images": _measure_images(pictures, config, args),
        "sweep": _measure_sweep(pictures[0], sweep, args.repeats),
        "processes": None if is_on_gpu() or args.quick else _measure_processes(args),
        "metadata": collect_metadata(parser.command(arguments)),
    }
    path = write_result(name, content)
    print(format_json(content) if args.json else _format_table(content) + f"\nWritten: {path}")


def _name_source(args: argparse.Namespace) -> str:
    return Path(args.images).parent.name if args.images else "made-up pictures"


def _load_pictures(args: argparse.Namespace, config: Config) -> np.ndarray:
    """Load or draw the network inputs: (N, h, w, 3)."""
    if args.images:
        sources = discover([args.images])[: args.count]
        if problems := [source.problem for source in sources if source.problem]:
            raise UsageError(problems[0])
        return np.stack([prepare(read(source.path), config.input) for source in sources])
    random = np.random.default_rng(0)
    coarse = random.random((args.count, 8, 8, 3)).astype(np.float32)
    shape = (args.count, config.input.size, config.input.size, 3)
    return np.asarray(jax.image.resize(jnp.asarray(coarse), shape, "cubic").clip(0, 1))


def _measure_images(
    pictures: np.ndarray, config: Config, args: argparse.Namespace
) -> dict[str, Any]:
    keys = jax.vmap(jax.random.key)(np.zeros(len(pictures), np.uint32))
    steps: dict[str, list[int]] = {}

    def fit_one_by_one() -> None:
        steps["one by one"] = [
            int(jax.block_until_ready(fit(k, jnp.asarray(i), config)).steps)
            for k, i in zip(keys, pictures, strict=True)
        ]

    def fit_together() -> None:
        steps[batch] = []
        for start in range(0, len(pictures), args.batch):
            part = slice(start, start + args.batch)
            found = fit_batch(keys[part], jnp.asarray(pictures[part]), config)
            steps[batch] += np.asarray(found.steps).tolist()

    def loop_in_torch() -> None:
        from benchmarks.torch_reference import fit as torch_fit

        steps["torch, one by one"] = [
            torch_fit(i, config, seed=0, device=get_torch_device()).steps for i in pictures
        ]

    batch = f"batches of {args.batch}"
    candidates: dict[str, Callable[[], object]] = {
        "one by one": fit_one_by_one,
        batch: fit_together,
    }
    if has_torch():
        allow_tf32()
        candidates["torch, one by one"] = loop_in_torch
    seconds = interleave(candidates, repeats=args.repeats)
    result: dict[str, Any] = {}
    for name, taken in seconds.items():
        row = result[name] = {**summarise(taken), "images": len(pictures)}
        row["images_per_minute"] = 60 * len(pictures) / row["median_s"]
        row["mean_steps"] = float(np.mean(steps[name]))
        if "torch, one by one" in seconds and not name.startswith("torch"):
            row["times_faster_than_torch"] = ratio(seconds["torch, one by one"], taken)
    return result


def _measure_sweep(picture: np.ndarray, config: Config, repeats: int) -> dict[str, Any]:
    """Time 27 settings of the loss weights on one image."""
    side = config.input.size
    image = jnp.asarray(jax.image.resize(jnp.asarray(picture), (side, side, 3), "linear"))
    hyper = grid(config, **_VALUES)
    count = len(hyper.weight_ce)  # pyright: ignore[reportArgumentType]
    keys = jax.vmap(jax.random.key)(np.zeros(count, np.uint32))
    settings = [
        dict(zip(_VALUES, row, strict=True)) for row in itertools.product(*_VALUES.values())
    ]

    def run_program() -> None:
        fit_batch(keys, image, config, hyper=hyper)

    def run_each() -> None:
        for key, weights in zip(keys, settings, strict=True):
            jax.block_until_ready(fit(key, image, config.replace(loss=weights)).labels)

    start = time.perf_counter()
    run_program()
    first = time.perf_counter() - start
    seconds = interleave({"one program": run_program, "a run each": run_each}, repeats=repeats)
    return {
        "settings": count,
        "size": side,
        "channels": config.model.channels,
        "steps": config.fit.steps,
        "first_call_s": first,
        **{name.replace(" ", "_"): summarise(taken) for name, taken in seconds.items()},
        "times_faster_than_runs": ratio(seconds["a run each"], seconds["one program"]),
    }


def _measure_processes(args: argparse.Namespace) -> dict[str, Any]:
    """Time the command on 2 cores: one process with one thread or two, and two processes.

    A process with a single thread is pinned to one core, which it also uses to write results.
    """
    count = 24
    settings = ["--preset", "fast", "--set", "fit.steps=20"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in").mkdir()
        random = np.random.default_rng(0)
        for n in range(count):
            coarse = random.integers(0, 255, (8, 8, 3), np.uint8)
            picture = PilImage.fromarray(coarse).resize((256, 256), PilImage.Resampling.BICUBIC)
            picture.save(folder / "in" / f"{n}.png")
        ways = {"1 process, 1 thread": (1, 1, "local"), "1 process, 2 threads": (1, 2, "local")}
        ways["2 processes, 1 thread each"] = (2, 1, "local")
        ways["--engine processes, 2 workers"] = (1, 2, "processes")
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():  # fills the compilation cache
            _time_command(folder, *way, settings)
        for _ in range(args.repeats):
            for name, way in ways.items():
                taken[name].append(_time_command(folder, *way, settings))
    rows = {
        name: {
            **summarise(seconds),
            "images": count,
            "images_per_minute": 60 * count / float(np.median(seconds)),
        }
        for name, seconds in taken.items()
    }
    single, both = taken["1 process, 1 thread"], taken["2 processes, 1 thread each"]
    half = [seconds / 2 for seconds in single]  # ideal time of two processes
    return {
        "command": "s3net segment " + " ".join(settings),
        "rows": rows,
        "efficiency": ratio(half, both),
    }


def _time_command(
    folder: Path, processes: int, threads: int, engine: str, settings: list[str]
) -> float:
    """Return the seconds of the slowest process, from after its start to its last result.

    The time includes starting the processes of an engine.
    """
    more = ["--engine", engine, *(["--workers", "2"] if engine == "processes" else [])]
    running = []
    for n in range(processes):
        variables = {**os.environ, "PJRT_NPROC": str(threads)}
        variables["JAX_COMPILATION_CACHE_DIR"] = str(folder / "cache")
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        if processes > 1:
            variables |= {"JAX_NUM_PROCESSES": str(processes), "JAX_PROCESS_ID": str(n)}
        command = [sys.executable, "-m", "s3net_jax", "segment", "in", "--out", "out"]
        command += ["--overwrite", "--quiet", *more, *settings]
        with _pin_to_core(n) if threads == 1 else contextlib.nullcontext():
            running.append(subprocess.Popen(command, cwd=folder, env=variables))
    for process in running:
        if process.wait():
            raise RuntimeError("The command failed; see its output above.")
    names = ["run.json", *(f"run-{n}.json" for n in range(1, processes))]
    return max(json.loads((folder / "out" / name).read_text())["seconds"] for name in names)


@contextlib.contextmanager
def _pin_to_core(n: int) -> Iterator[None]:
    """Pin this thread, and processes it starts, to one core; no effect if the system has no
    affinity."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[n % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _format_table(content: dict[str, Any]) -> str:
    lines = [f"{content['source']}, preset {content['preset']}: images per minute"]
    for name, row in content["images"].items():
        line = f"  {name:28s} {row['images_per_minute']:7.2f}, {row['mean_steps']:.1f} steps"
        faster = row.get("times_faster_than_torch")
        lines.append(line + (f"  {faster['median']:.2f}× torch" if faster else ""))
    found = content["sweep"]
    lines.append(
        f"sweep of {found['settings']} settings: {found['one_program']['median_s']:.2f} s as one "
        f"program, {found['a_run_each']['median_s']:.2f} s run by run"
    )
    if content["processes"]:
        for name, row in content["processes"]["rows"].items():
            lines.append(f"  {name:28s} {row['images_per_minute']:7.2f} images per minute")
        lines.append(f"  efficiency {content['processes']['efficiency']['median']:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
