"""Build the self-contained HTML page of a search for settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s3net_jax.report.curves import Curve, draw_chart
from s3net_jax.report.document import (
    TABLE_FILES,
    build_document,
    build_section,
    build_tiles,
    link_files,
)
from s3net_jax.report.markup import Markup, element
from s3net_jax.report.tables import build_pairs, build_table, format_interval

__all__ = ["build_tuning_page"]

_COMMAND = "padding:12px 16px;white-space:pre-wrap"


def build_tuning_page(summary: Mapping[str, Any], warning: str) -> str:
    """Build the complete page.

    Args:
      summary: result of :func:`s3net_jax.experiments.tuning.summary.summarise_tuning`.
      warning: caveat to read before using the figures.
    """
    best, base, left = summary["best"][0], summary["base"], summary["left_out"]
    state = summary["images"]
    tested = summary["settings"] * len(summary["steps"])
    figures = {
        "best, blind": _build_tile(best["protocols"]["blind"], f"the best of {tested}"),
        f"preset {summary['preset']}": _build_tile(
            base["protocols"]["blind"], f"{base['steps']} steps"
        ),
    }
    if left is not None:
        figures["chosen on other images"] = _build_tile(left, "leave-one-out")
    parts: list[str] = [
        element("h1", summary["title"]),
        element(
            "p",
            f"{state['done']} of {state['of']} images, {summary['settings']} settings, up to "
            f"{summary['steps'][-1]} steps, {_describe_seeds(summary['seed'], summary['seeds'])}.",
            class_="faint",
        ),
        element("p", element("b", warning)),
        build_tiles(figures),
        element("pre", best["options"], class_="scroll", style=_COMMAND),
        build_section(
            "The best settings",
            _build_best(summary),
            about="Mean DSC over images with 95 % bootstrap intervals, each setting at its best "
            "number of steps; the last row is the preset. Difference: blind DSC minus that of the "
            "preset, paired by image.",
        ),
        build_section(
            "Steps",
            _draw_curves(summary["steps"], summary["curves"]),
            about="Mean blind DSC after each step, for the best setting and for the preset.",
        ),
        build_section(
            "What matters",
            _build_effects(summary["effects"]),
            about="Highest mean blind DSC among the settings with each value.",
        ),
        build_section(
            "Configuration and versions",
            element(
                "div",
                build_pairs(summary["config"], "config"),
                build_pairs(summary["versions"], "versions"),
                class_="boxes",
            ),
        ),
        link_files(TABLE_FILES),
    ]
    return build_document(summary["title"], parts)


def _describe_seeds(first: int, count: int) -> str:
    return f"seed {first}" if count == 1 else f"seeds {first} to {first + count - 1}"


def _build_tile(found: Mapping[str, float], remark: str) -> tuple[str, str]:
    return f"{found['mean']:.1f}", f"{found['low']:.1f}–{found['high']:.1f}, {remark}"


def _build_best(summary: Mapping[str, Any]) -> Markup:
    names, protocols = list(summary["effects"]), list(summary["protocols"])
    rows = []
    for row in (*summary["best"], summary["base"]):
        numbers = [f"{row['setting'][name]:g}" for name in names]
        means = [format_interval(row["protocols"][name]) for name in protocols]
        rows.append(
            [*numbers, str(row["steps"]), *means, format_interval(row["difference"], sign=True)]
        )
    heads = [*names, "steps", *protocols, "difference"]
    return build_table(heads, rows, ours=[0], caption="The best settings")


def _build_effects(effects: Mapping[str, Mapping[str, float]]) -> Markup:
    return build_table(
        ["value", "highest mean blind DSC"],
        [
            [f"{name} = {v}", f"{mean:.1f}"]
            for name, means in effects.items()
            for v, mean in means.items()
        ],
        caption="Highest mean blind DSC for each value",
    )


def _draw_curves(steps: Sequence[int], curves: Mapping[str, Sequence[float]]) -> Markup:
    """Draw the curves of the best setting and the preset; steps that were not scored are gaps."""
    lines = []
    for name, title in (("best", "the best setting"), ("base", "the preset")):
        values = np.full(steps[-1], np.nan)
        values[np.array(steps) - 1] = curves[name]
        lines.append(Curve(title, values))
    return element("div", draw_chart("Mean blind DSC", lines), class_="charts")
