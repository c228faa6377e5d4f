"""Build the tables of ``docs/benchmarks.md``: our rows of all result files of steps and fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.harness.candidates import EAGER, KEPT, LOOP, OURS
from benchmarks.pages.tables import describe_machine, format_seconds, format_table
from benchmarks.suites.fit import FULL_STEPS

__all__ = ["build_fit_rows", "build_step_rows", "build_summary"]

Content = dict[str, Any]
_BFLOAT16 = f"{OURS}, bfloat16 products"
_OTHERS = {
    "torch_plain": "times faster than plain PyTorch",
    "torch": "than tuned PyTorch",
    "torch_compile": "than `torch.compile`",
}
_MEMORY = "peak memory (relative to tuned PyTorch)"
_WORTH = 0.9
"""Largest time relative to float32 at which bfloat16 products are shown: only where they gain."""


def build_summary(steps: Iterable[Content], fits: Iterable[Content]) -> str:
    """Build two tables and the list of machines they were measured on.

    Args:
      steps: contents of result files of the suite ``step``.
      fits: contents of result files of the suite ``fit``, with the same size and channels.
    """
    steps, fits = list(steps), list(fits)
    first = steps[0]
    machines = {describe_machine(c): None for c in (*steps, *fits)}
    marks = {machine: f"{n}" for n, machine in enumerate(machines, 1)}

    def mark(content: Content) -> str:
        return marks[describe_machine(content)]

    parts = [
        f"One optimisation step at {first['size']}×{first['size']}, {first['channels']} channels; "
        "medians:\n",
        build_step_rows(steps, mark),
        f"Whole fits without early stops, timed over {_format_range(c['steps'] for c in fits)} "
        f"steps; images per minute at {FULL_STEPS} steps:\n",
        build_fit_rows(fits, mark),
        "Measured on:\n",
        "".join(f"{mark}. {machine}\n" for machine, mark in marks.items()),
    ]
    return "\n".join(parts)


def _format_range(found: Iterable[int]) -> str:
    values = sorted(set(found))
    return f"{values[0]} to {values[-1]}" if len(values) > 1 else str(values[0])


def _format_speedup(row: Content, other: str) -> str:
    found = row.get(f"times_faster_than_{other}")
    return f"{found['median']:.2f}" if found else ""


def _list_ours(rows: Content) -> list[str]:
    """Select our rows to show, without step-by-step and memory-kept candidates."""
    names = [n for n in rows if n.startswith(OURS) and LOOP not in n and KEPT not in n]
    base = rows.get(OURS)

    def is_shown(name: str) -> bool:
        if name == OURS or not name.startswith(_BFLOAT16) or base is None:
            return "XLA" not in name
        plain = rows.get(name.replace(_BFLOAT16, OURS))
        return plain is None or rows[name]["median_s"] <= _WORTH * plain["median_s"]

    return [n for n in names if is_shown(n)]


def _format_torch_memory(rows: Content, name: str) -> str:
    """Format peak memory, and for one image its ratio to eager PyTorch."""
    own = rows[name]["peak_mib"]
    if EAGER not in rows or rows[name].get("images", 1) > 1:
        return f"{own:.0f} MiB"
    return f"{own:.0f} MiB ({own / rows[EAGER]['peak_mib']:.2f})"


def build_step_rows(contents: Iterable[Content], mark: Callable[[Content], str]) -> str:
    """Return the table of steps; ``mark`` names a result's machine."""
    head = [
        "seconds",
        *_OTHERS.values(),
        "than stock Flax",
        "relative to its matrix products",
        _MEMORY,
    ]

    def cells(content: Content, preset: str, rows: Content, name: str) -> list[str]:
        seconds = rows[name]["median_s"]
        return [
            format_seconds(seconds),
            *(_format_speedup(rows[name], other) for other in _OTHERS),
            _format_speedup(rows[name], "stock_flax"),
            f"{seconds / content['products'][preset]['median_s']:.2f}",
            _format_torch_memory(rows, name),
        ]

    return _build_rows(contents, mark, head, cells)


def build_fit_rows(contents: Iterable[Content], mark: Callable[[Content], str]) -> str:
    """Return the table of whole fits; ``mark`` names a result's machine."""
    head = ["images per minute", *_OTHERS.values(), _MEMORY]

    def cells(_: Content, _preset: str, rows: Content, name: str) -> list[str]:
        return [
            f"{rows[name]['images_per_minute']:.1f}",
            *(_format_speedup(rows[name], other) for other in _OTHERS),
            _format_torch_memory(rows, name),
        ]

    return _build_rows(contents, mark, head, cells)


def _build_rows(
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
        for name in _list_ours(found)
    ]
    return format_table(["machine", "preset", "implementation", *head], rows)
