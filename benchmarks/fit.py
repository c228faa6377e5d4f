"""A whole fit, by images: ours, one image or several at once, beside the PyTorch reference.

    python -m benchmarks.fit --size 256 --channels 64 --images 1 4

prints a table and writes ``benchmarks/results/fit-<size>-<channels>.json``: seconds of a fit,
seconds per image and step, and images per minute at the preset's full number of steps. Early
stops are off, so that every candidate does the same steps.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import s3net_jax as s3
from benchmarks.harness import interleave, ratio, summarise
from benchmarks.metadata import metadata, write_result
from benchmarks.step import picture
from s3net_jax.config import Config
from s3net_jax.fitting import fit

FULL_STEPS = 50


def jax_fit(config: Config, image: np.ndarray, images: int) -> Callable[[], object]:
    """Fits ``images`` copies of an image from keys of their own, vmapped if several."""
    keys = jax.random.split(jax.random.key(0), images)
    array = jnp.asarray(image)
    if images == 1:
        return lambda: jax.block_until_ready(fit(keys[0], array, config))
    many = jax.jit(jax.vmap(lambda key: fit(key, array, config).labels))
    return lambda: jax.block_until_ready(many(keys))


def torch_fit(config: Config, image: np.ndarray) -> Callable[[], object]:
    """The same of one image by the PyTorch reference."""
    from benchmarks.torch_reference.fit import Trainer

    def run() -> object:
        trainer = Trainer(image, config)
        for _ in range(config.fit.steps):
            trainer.step()
        return trainer

    return run


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--steps", type=int, default=FULL_STEPS, help="steps of a fit, timed")
    parser.add_argument("--images", type=int, nargs="+", default=[1], help="images at once")
    parser.add_argument("--preset", action="append", help="default: paper and released")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the result file's content")
    args = parser.parse_args(arguments)
    presets = args.preset or ["paper", "released"]
    content: dict[str, Any] = {
        "suite": "fit",
        "size": args.size,
        "channels": args.channels,
        "steps": args.steps,
        "presets": {preset: _measure(preset, args) for preset in presets},
        "metadata": metadata("python -m benchmarks.fit " + " ".join(arguments)),
    }
    path = write_result(f"fit-{args.size}-{args.channels}", content)
    print(json.dumps(content, indent=1) if args.json else _table(content) + f"\nWritten: {path}")


def _measure(preset: str, args: argparse.Namespace) -> dict[str, Any]:
    image = picture(args.size)
    config = s3.preset(preset).replace(
        input={"size": args.size},
        model={"channels": args.channels},
        fit={"steps": args.steps, "stop_labels": 0},
    )
    counts = {f"s3net-jax, {n} at once" if n > 1 else "s3net-jax": n for n in args.images}
    built = {name: jax_fit(config, image, n) for name, n in counts.items()}
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        print("PyTorch is not installed: its fit is left out.", file=sys.stderr)
    else:
        counts["torch eager"] = 1
        built["torch eager"] = torch_fit(config, image)
    seconds = interleave(built, repeats=args.repeats)
    result: dict[str, Any] = {}
    for name, n in counts.items():
        per_image = [s / n for s in seconds[name]]
        row = result[name] = {**summarise(seconds[name]), "images": n}
        median = summarise(per_image)["median_s"]
        row["seconds_per_image_and_step"] = median / args.steps
        row["images_per_minute"] = 60 / (median / args.steps * FULL_STEPS)
        if "torch eager" in seconds and name != "torch eager":
            row["times_faster_than_torch"] = ratio(seconds["torch eager"], per_image)
    return result


def _table(content: dict[str, Any]) -> str:
    lines = [
        f"A fit of {content['steps']} steps at {content['size']}×{content['size']}, "
        f"{content['channels']} channels"
    ]
    for preset, rows in content["presets"].items():
        lines.append(f"{preset}: seconds (quartiles), per image and step, images per minute")
        for name, row in rows.items():
            line = f"  {name:24s} {row['median_s']:7.2f} ({row['q1_s']:.2f}-{row['q3_s']:.2f})"
            line += f" {row['seconds_per_image_and_step']:.3f} {row['images_per_minute']:6.2f}"
            faster = row.get("times_faster_than_torch")
            lines.append(line + (f"  {faster['median']:.2f}×" if faster else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
