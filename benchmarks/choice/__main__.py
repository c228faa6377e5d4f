"""Run ``python -m benchmarks.choice``; see the package's docstring."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks.choice
from benchmarks.choice.measure import PRESETS, draw_masks, find_examples
from benchmarks.choice.report import RESULT, summarize
from benchmarks.choice.weights import fit_weights
from benchmarks.confidence.images import list_samples, write_maps
from s3net_jax.masks import TRAIT_WEIGHTS
from s3net_jax.presets import preset

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Fit the weights, draw the masks and write the report; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.choice",
        description=benchmarks.choice.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--maps", type=Path, required=True, help="folder of label maps and traits")
    args = parser.parse_args(arguments)

    def say(text: str) -> None:
        print(text, flush=True)

    samples = list_samples(args.data)
    write_maps(samples, preset("best"), args.maps, say)
    found = find_examples(samples, args.maps, say)
    weights = fit_weights([example for sample, example in found if not sample.is_reported])
    if weights != TRAIT_WEIGHTS:
        say(f"Weights for s3net_jax/masks/choice.py:\n{json.dumps(weights, indent=4)}")
        say("Masks were not drawn: copy the weights there, and repeat the command.")
        return 0
    rows: list[dict[str, Any]] = []
    for sample, example in found:
        rows.append({**draw_masks(sample, args.maps), "ceiling": round(example.dsc.max(), 4)})
        say(f"{len(rows)}/{len(found)} {rows[-1]}")
    content = {
        "title": "Choice among candidates",
        "config_digests": {name: preset(name).digest for name in PRESETS},
        "seed": 0,
        "weights": weights,
        "summaries": {
            half: summarize(rows, half == "reported") for half in ("chosen on", "reported")
        },
        "rows": rows,
    }
    RESULT.write_text(json.dumps(content, indent=1, default=np.float64.item) + "\n")
    say(f"wrote {RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
