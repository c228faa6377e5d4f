"""Build the summary at the top of a suite's page: the main figures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.harness.candidates import OURS
from benchmarks.pages.summary import build_fit_rows, build_step_rows
from benchmarks.pages.tables import Content, format_table, name_machine

__all__ = [
    "summarise_errors",
    "summarise_fits",
    "summarise_many",
    "summarise_operators",
    "summarise_scaling",
    "summarise_steps",
]

_KERNELS = ("native", "pallas")
"""Implementations that are our own kernels; others appear only in the detailed tables."""


def summarise_steps(contents: Sequence[Content]) -> str:
    """Return our rows of every machine, as ratios to PyTorch and stock Flax."""
    return build_step_rows(contents, name_machine)


def summarise_fits(contents: Sequence[Content]) -> str:
    """Return our rows of every machine, as ratios to PyTorch."""
    return build_fit_rows(contents, name_machine)


def summarise_many(contents: Sequence[Content]) -> str:
    """Return images per minute of every way to fit many images, by machine."""
    names = list(dict.fromkeys(name for c in contents for name in c["images"]))
    rows = [
        [
            name_machine(content),
            *(
                f"{content['images'][n]['images_per_minute']:.1f}" if n in content["images"] else ""
                for n in names
            ),
        ]
        for content in contents
    ]
    return "Images per minute:\n\n" + format_table(["machine", *names], rows)


def summarise_scaling(contents: Sequence[Content]) -> str:
    """Return the range of our speed-up over PyTorch along every axis, by machine."""
    rows = []
    for content in contents:
        ratios: dict[str, list[float]] = defaultdict(list)
        for row in content["rows"]:
            found = row.get("candidates", {}).get(OURS, {}).get("times_faster_than_torch")
            if found:
                ratios[row["axis"]].append(found["median"])
        rows += [[name_machine(content), axis, _format_span(r)] for axis, r in ratios.items()]
    head = ["machine", "varied", "times faster than PyTorch (lowest to highest)"]
    return format_table(head, rows)


def summarise_operators(contents: Sequence[Content]) -> str:
    """Return the speed-up of our kernels over PyTorch, by operator and machine."""
    text = (
        "Speed-up of our kernels over PyTorch, over all shapes, dtypes and directions: geometric "
        "mean (lowest to highest), and the number of calls that are faster in PyTorch.\n\n"
    )
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for content in contents:
        ratios: dict[str, list[float]] = defaultdict(list)
        for row in content["rows"]:
            if "times_faster_than_torch" in row and row["implementation"] in _KERNELS:
                ratios[row["operator"]].append(row["times_faster_than_torch"]["median"])
        for operator, found in ratios.items():
            mean = math.exp(sum(map(math.log, found)) / len(found))
            losses = sum(ratio < 1 for ratio in found)
            lost = f"; {losses} of {len(found)}" if losses else ""
            cells[operator][name_machine(content)] = f"{mean:.2f} ({_format_span(found)}){lost}"
    machines = list(dict.fromkeys(map(name_machine, contents)))
    rows = [[f"`{o}`", *(found.get(m, "") for m in machines)] for o, found in cells.items()]
    return text + format_table(["operator", *machines], rows)


def summarise_errors(contents: Sequence[Content]) -> str:
    """Return the largest share of the allowed error that any operator reaches, by machine."""
    rows = []
    for content in contents:
        shares: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
        for row in content["operators"]:
            share = row["share_of_tolerance"]
            key = row["dtype"], row["implementation"]
            shares[key].append((math.inf if share is None else share, row["operator"]))
        for (dtype, implementation), found in shares.items():
            share, operator = max(found)
            text = f"{100 * share:.0f} % (`{operator}`)" if math.isfinite(share) else "not finite"
            rows.append([name_machine(content), dtype, implementation, text])
    text = (
        "The largest error of any operator, value or gradient, as a share of the allowed error.\n\n"
    )
    return text + format_table(["machine", "dtype", "implementation", "largest share"], rows)


def _format_span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
