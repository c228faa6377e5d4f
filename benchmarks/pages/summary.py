"""The README's figures: of all result files of steps and fits, the rows that are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.harness.candidates import EAGER, KEPT, LOOP, OURS
from benchmarks.pages.tables import machine_of, table, text_of_seconds
from benchmarks.suites.fit import FULL_STEPS

__all__ = ["fit_rows", "step_rows", "summary"]

Content = dict[str, Any]
_BFLOAT16 = f"{OURS}, bfloat16 products"
_OTHERS = {
    "torch_plain": "times faster than plain PyTorch",
    "torch": "than tuned PyTorch",
    "torch_compile": "than `torch.compile`",
}
_MEMORY = "peak memory (of tuned PyTorch's)"
_WORTH = 0.9
"""Of float32's time at most: products in bfloat16 are shown where they are a gain."""


def summary(steps: Iterable[Content], fits: Iterable[Content]) -> str:
    """Two tables, and what they were measured on.

    Args:
      steps: contents of result files of the suite ``step``.
      fits: of the suite ``fit``, with the same size and channels.
    """
    steps, fits = list(steps), list(fits)
    first = steps[0]
    machines = {machine_of(c): None for c in (*steps, *fits)}
    marks = {machine: f"{n}" for n, machine in enumerate(machines, 1)}

    def mark(content: Content) -> str:
        return marks[machine_of(content)]

    parts = [
        f"One optimisation step at {first['size']}×{first['size']}, {first['channels']} channels; "
        "medians:\n",
        step_rows(steps, mark),
        f"Whole fits, early stops off, timed over {_range(c['steps'] for c in fits)} steps; images "
        f"a minute at {FULL_STEPS} steps:\n",
        fit_rows(fits, mark),
        "Measured on:\n",
        "".join(f"{mark}. {machine}\n" for machine, mark in marks.items()),
    ]
    return "\n".join(parts)


def _range(found: Iterable[int]) -> str:
    values = sorted(set(found))
    return f"{values[0]} to {values[-1]}" if len(values) > 1 else str(values[0])


def _faster(row: Content, other: str) -> str:
    found = row.get(f"times_faster_than_{other}")
    return f"{found['median']:.2f}" if found else ""


def _ours(rows: Content) -> list[str]:
    """Names of our rows worth showing: no steps one by one, no memory kept."""
    names = [n for n in rows if n.startswith(OURS) and LOOP not in n and KEPT not in n]
    base = rows.get(OURS)

    def shown(name: str) -> bool:
        if name == OURS or not name.startswith(_BFLOAT16) or base is None:
            return "XLA" not in name
        plain = rows.get(name.replace(_BFLOAT16, OURS))
        return plain is None or rows[name]["median_s"] <= _WORTH * plain["median_s"]

    return [n for n in names if shown(n)]


def _of_torch(rows: Content, name: str) -> str:
    """Peak memory, and as a share of eager PyTorch's for one image."""
    own = rows[name]["peak_mib"]
    if EAGER not in rows or rows[name].get("images", 1) > 1:
        return f"{own:.0f} MiB"
    return f"{own:.0f} MiB ({own / rows[EAGER]['peak_mib']:.2f})"


def step_rows(contents: Iterable[Content], mark: Callable[[Content], str]) -> str:
    """Return the table of steps; ``mark`` names a result's machine."""
    head = ["seconds", *_OTHERS.values(), "than stock Flax", "times its matrix products", _MEMORY]

    def cells(content: Content, preset: str, rows: Content, name: str) -> list[str]:
        seconds = rows[name]["median_s"]
        return [
            text_of_seconds(seconds),
            *(_faster(rows[name], other) for other in _OTHERS),
            _faster(rows[name], "stock_flax"),
            f"{seconds / content['products'][preset]['median_s']:.2f}",
            _of_torch(rows, name),
        ]

    return _ours_of_all(contents, mark, head, cells)


def fit_rows(contents: Iterable[Content], mark: Callable[[Content], str]) -> str:
    """Return the table of whole fits; ``mark`` names a result's machine."""
    head = ["images a minute", *_OTHERS.values(), _MEMORY]

    def cells(_: Content, _preset: str, rows: Content, name: str) -> list[str]:
        return [
            f"{rows[name]['images_per_minute']:.1f}",
            *(_faster(rows[name], other) for other in _OTHERS),
            _of_torch(rows, name),
        ]

    return _ours_of_all(contents, mark, head, cells)


def _ours_of_all(
    contents: Iterable[Content],
    mark: Callable[[Content], str],
    head: list[str],
    cells: Callable[[Content, str, Content, str], list[str]],
) -> str:
    rows = [
        [
            mark(content),
            f"`{preset}`",
            name + (f", {content['dtype']}" if content["dtype"] != "float32" else ""),
            *cells(content, preset, found, name),
        ]
        for content in contents
        for preset, found in content["presets"].items()
        for name in _ours(found)
    ]
    return table(["on", "preset", "implementation", *head], rows)
