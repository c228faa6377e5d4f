"""The README's figures, out of the committed result files.

python -m benchmarks.readme            rewrite the marked part of README.md
python -m benchmarks.readme --check    exit with 1 if it is not what the files say
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.metadata import RESULTS

__all__ = ["fit_table", "render", "step_table"]

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- figures: start -->\n", "<!-- figures: end -->\n"


def step_table(content: dict[str, Any]) -> str:
    """Markdown of a result of ``benchmarks.step``: a table of steps, a table of parts."""
    machine, versions = content["metadata"]["machine"], content["metadata"]["versions"]
    lines = [
        f"One optimisation step at {content['size']}×{content['size']}, {content['channels']} "
        f"channels, float32, on {machine['threads']} threads of {machine['processor']} "
        f"(jax {versions['jax']}, torch {versions['torch']}, Python {versions['python']}; "
        f"median and quartiles of {_repeats(content)} interleaved repeats):",
        "",
        "| preset | implementation | seconds a step | times faster than PyTorch | compile (s) "
        "| peak memory (MiB) |",
        "|---|---|---|---|---|---|",
    ]
    for preset, rows in content["presets"].items():
        for name, row in rows.items():
            faster = row.get("times_faster_than_torch")
            against = (
                f"{faster['median']:.2f} ({faster['q1']:.2f}–{faster['q3']:.2f})" if faster else "1"
            )
            lines.append(
                f"| `{preset}` | {name} | {row['median_s']:.2f} ({row['q1_s']:.2f}–"
                f"{row['q3_s']:.2f}) | {against} | {row['compile_s']:.1f} | {row['peak_mib']:.0f} |"
            )
    lines += ["", "Where the time goes: each part of a step alone, forward and backward."]
    lines += ["", "| part | milliseconds |", "|---|---|"]
    for name, row in content["parts"].items():
        lines.append(
            f"| {name} | {1e3 * row['median_s']:.0f} "
            f"({1e3 * row['q1_s']:.0f}–{1e3 * row['q3_s']:.0f}) |"
        )
    return "\n".join(lines) + "\n"


def fit_table(content: dict[str, Any]) -> str:
    """Markdown of a result of ``benchmarks.fit``."""
    lines = [
        f"A whole fit, early stops off (timed over {content['steps']} steps; median and quartiles "
        f"of {_repeats(content)} interleaved repeats; images a minute at 50 steps):",
        "",
        "| preset | implementation | seconds an image and step | images a minute "
        "| times faster than PyTorch |",
        "|---|---|---|---|---|",
    ]
    for preset, rows in content["presets"].items():
        for name, row in rows.items():
            faster = row.get("times_faster_than_torch")
            against = (
                f"{faster['median']:.2f} ({faster['q1']:.2f}–{faster['q3']:.2f})" if faster else "1"
            )
            lines.append(
                f"| `{preset}` | {name} | {row['seconds_per_image_and_step']:.3f} "
                f"| {row['images_per_minute']:.2f} | {against} |"
            )
    return "\n".join(lines) + "\n"


def _repeats(content: dict[str, Any]) -> int:
    return min(row["repeats"] for rows in content["presets"].values() for row in rows.values())


def render(readme: str) -> str:
    """``readme`` with its marked part made anew from the result files."""
    step, fit = (
        json.loads((RESULTS / f"{suite}-256-64.json").read_text()) for suite in ("step", "fit")
    )
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n" + step_table(step) + "\n" + fit_table(fit) + "\n" + END + after


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args(arguments)
    old = README.read_text()
    new = render(old)
    if args.check:
        return int(old != new)
    README.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
