"""One optimisation step: ours by implementation, beside the PyTorch reference, in one run.

    python -m benchmarks.step --size 256 --channels 64

prints a table and writes ``benchmarks/results/step-<size>-<channels>.json``: time of a step,
ratios, compile time, peak memory (each candidate in a process of its own), and the time of the
step's parts alone, forward and backward.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import s3net_jax as s3
from benchmarks.harness import interleave, ratio, summarise
from benchmarks.metadata import metadata, write_result
from benchmarks.parts import part_timings
from benchmarks.stock_flax import StockS3Net
from s3net_jax.config import Config
from s3net_jax.fitting import hyperparameters, optimizer, train_step
from s3net_jax.nn import S3Net
from s3net_jax.ops import draw_affine

Step = Callable[[], object]
Build = Callable[[], tuple[Step, float]]


def picture(size: int) -> np.ndarray:
    """(size, size, 3) float32 in [0, 1]: smooth random colours, the same every time."""
    random = np.random.default_rng(0)
    coarse = random.random((8, 8, 3)).astype(np.float32)
    return np.asarray(jax.image.resize(jnp.asarray(coarse), (size, size, 3), "cubic").clip(0, 1))


def jax_step(config: Config, image: np.ndarray, network: type[S3Net] = S3Net) -> tuple[Step, float]:
    """A function that does one step and waits for it, and the seconds its compilation took."""
    shape = (image.shape[0], image.shape[1])
    graph, params = nnx.split(network(config.model, shape, rngs=nnx.Rngs(params=0)), nnx.Param)
    hyper = hyperparameters(config)
    momentum = optimizer(hyper).init(params)
    images = jnp.asarray(image)[None]
    matrix = draw_affine(jax.random.key(1), config.loss.affine, shape)
    palette = jnp.linspace(0, 1, config.model.channels)

    def step(params, momentum):
        return train_step(graph, params, momentum, images, hyper, config, matrix, palette)[:3]

    start = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, momentum).compile()
    seconds = time.perf_counter() - start
    state = [params, momentum]

    def run() -> object:
        *state[:], record = compiled(*state)
        return jax.block_until_ready(record)

    return run, seconds


def torch_step(config: Config, image: np.ndarray, compiled: bool = False) -> tuple[Step, float]:
    """As :func:`jax_step`, of the PyTorch reference, eager or with ``torch.compile``."""
    from benchmarks.torch_reference.fit import Trainer
    from benchmarks.torch_reference.options import Options

    trainer = Trainer(image, config, options=Options(compile=compiled))
    start = time.perf_counter()
    if compiled:
        trainer.step()
    return trainer.step, time.perf_counter() - start


def candidates(preset: str, size: int, channels: int) -> dict[str, Build]:
    """Name to a function that builds the step; PyTorch only if it is installed."""
    image = picture(size)
    config = s3.preset(preset).replace(input={"size": size}, model={"channels": channels})
    in_xla = config.replace(model={"implementation": "xla"})
    found: dict[str, Build] = {
        "s3net-jax": lambda: jax_step(config, image),
        "s3net-jax, XLA only": lambda: jax_step(in_xla, image),
        "stock Flax": lambda: jax_step(in_xla, image, StockS3Net),
    }
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        return found
    found["torch eager"] = lambda: torch_step(config, image)
    return found


def peak_memory(preset: str, size: int, channels: int, name: str) -> float:
    """Peak resident MiB of a process that does three steps, above one that only builds none."""

    def measure(*more: str) -> float:
        command = [sys.executable, "-m", "benchmarks.step", "--peak", name, "--preset", preset]
        command += ["--size", str(size), "--channels", str(channels), *more]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return float(output.strip().splitlines()[-1])

    return measure() - measure("--idle")


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--preset", action="append", help="default: paper and released")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print the result file's content")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--idle", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    presets = args.preset or ["paper", "released"]
    if args.peak:
        _print_peak(args.peak, presets[0], args.size, args.channels, args.idle)
        return
    suites = {p: _measure(p, args.size, args.channels, args.repeats) for p in presets}
    content: dict[str, Any] = {
        "suite": "step",
        "size": args.size,
        "channels": args.channels,
        "presets": suites,
        "parts": part_timings(args.size, args.channels, args.repeats),
        "metadata": metadata("python -m benchmarks.step " + " ".join(arguments)),
    }
    path = write_result(f"step-{args.size}-{args.channels}", content)
    print(json.dumps(content, indent=1) if args.json else _table(content) + f"\nWritten: {path}")


def _measure(preset: str, size: int, channels: int, repeats: int) -> dict[str, Any]:
    built = {name: build() for name, build in candidates(preset, size, channels).items()}
    seconds = interleave({name: step for name, (step, _) in built.items()}, repeats=repeats)
    result: dict[str, Any] = {}
    for name, (_, compile_seconds) in built.items():
        result[name] = {**summarise(seconds[name]), "compile_s": compile_seconds}
        result[name]["peak_mib"] = peak_memory(preset, size, channels, name)
        if "torch eager" in seconds and name != "torch eager":
            result[name]["times_faster_than_torch"] = ratio(seconds["torch eager"], seconds[name])
    return result


def _print_peak(name: str, preset: str, size: int, channels: int, idle: bool) -> None:
    build = candidates(preset, size, channels)[name]
    if not idle:
        step, _ = build()
        for _ in range(3):
            step()
    # Not getrusage's ru_maxrss: a child inherits its parent's.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def _table(content: dict[str, Any]) -> str:
    lines = [f"One step at {content['size']}×{content['size']}, {content['channels']} channels"]
    for preset, rows in content["presets"].items():
        lines.append(f"{preset}: seconds a step (quartiles), compile, peak memory, against torch")
        for name, row in rows.items():
            line = f"  {name:20s} {row['median_s']:7.3f} ({row['q1_s']:.3f}-{row['q3_s']:.3f})"
            line += f" {row['compile_s']:6.1f} s {row['peak_mib']:7.0f} MiB"
            faster = row.get("times_faster_than_torch")
            lines.append(line + (f"  {faster['median']:.2f}×" if faster else ""))
    lines.append("parts, forward and backward alone: seconds")
    for name, row in content["parts"].items():
        lines.append(f"  {name:44s} {row['median_s']:7.4f} ({row['q1_s']:.4f}-{row['q3_s']:.4f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
