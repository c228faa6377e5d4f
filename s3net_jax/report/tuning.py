"""A search for settings as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3net_jax.report.document import document, section, tiles
from s3net_jax.report.markup import Markup, element
from s3net_jax.report.tables import interval, pairs, table

__all__ = ["tuning_page"]

_COMMAND = "padding:12px 16px;white-space:pre-wrap"
_WIDTH, _HEIGHT, _LEFT, _BELOW = 720, 260, 44, 28


def tuning_page(summary: Mapping[str, Any], warning: str) -> str:
    """The whole page.

    Args:
      summary: see :func:`s3net_jax.experiments.tuning.summary.summarise_tuning`.
      warning: what a reader must know before using the figures.
    """
    best, base, left = summary["best"][0], summary["base"], summary["left_out"]
    state = summary["images"]
    tested = summary["settings"] * len(summary["steps"])
    figures = {
        "best, blind": _tile(best["protocols"]["blind"], f"the best of {tested}"),
        f"preset {summary['preset']}": _tile(base["protocols"]["blind"], f"{base['steps']} steps"),
    }
    if left is not None:
        figures["chosen on the others"] = _tile(left, "leave one out")
    parts: list[str] = [
        element("h1", summary["title"]),
        element(
            "p",
            f"{state['done']} of {state['of']} images, {summary['settings']} settings, up to "
            f"{summary['steps'][-1]} steps, {_seeds(summary['seed'], summary['seeds'])}.",
            class_="faint",
        ),
        element("p", element("b", warning)),
        tiles(figures),
        element("pre", best["options"], class_="scroll", style=_COMMAND),
        section(
            "The best settings",
            _best(summary),
            about="Mean DSC over images with bootstrap 95 % intervals, each setting with its best "
            "number of steps; the preset's own numbers last.",
        ),
        section(
            "Steps",
            _curves(summary["steps"], summary["curves"]),
            about="Mean blind DSC after each step, of the best setting and of the preset's own.",
        ),
        section(
            "What matters",
            _effects(summary["effects"]),
            about="For each value the highest mean blind DSC among the settings that have it.",
        ),
        section(
            "Configuration and versions",
            element(
                "div",
                pairs(summary["config"], "config"),
                pairs(summary["versions"], "versions"),
                class_="boxes",
            ),
        ),
    ]
    return document(summary["title"], parts)


def _seeds(first: int, count: int) -> str:
    return f"seed {first}" if count == 1 else f"seeds {first} to {first + count - 1}"


def _tile(found: Mapping[str, float], remark: str) -> tuple[str, str]:
    return f"{found['mean']:.1f}", f"{found['low']:.1f}–{found['high']:.1f}, {remark}"


def _best(summary: Mapping[str, Any]) -> Markup:
    names, protocols = list(summary["effects"]), list(summary["protocols"])
    rows = []
    for row in (*summary["best"], summary["base"]):
        numbers = [f"{row['setting'][name]:g}" for name in names]
        means = [interval(row["protocols"][name]) for name in protocols]
        rows.append([*numbers, str(row["steps"]), *means, interval(row["difference"], sign=True)])
    heads = [*names, "steps", *protocols, "blind, minus the preset"]
    return table(heads, rows, ours=[0], caption="The best settings")


def _effects(effects: Mapping[str, Mapping[str, float]]) -> Markup:
    return table(
        ["value", "highest mean blind DSC"],
        [
            [f"{name} = {v}", f"{mean:.1f}"]
            for name, means in effects.items()
            for v, mean in means.items()
        ],
        caption="The highest mean blind DSC for each value",
    )


def _curves(steps: Sequence[int], curves: Mapping[str, Sequence[float]]) -> Markup:
    """Two lines; the best setting's is the one in colour."""
    low = 10 * int(min(map(min, curves.values())) // 10)
    high = max(low + 10.0, 10 * -(-max(map(max, curves.values())) // 10))
    first, span = steps[0], max(1, steps[-1] - steps[0])

    def place(step: int, value: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 12) * (step - first) / span
        y = 10 + (_HEIGHT - _BELOW - 10) * (high - value) / (high - low)
        return f"{x:.1f},{y:.1f}"

    drawn = []
    for k in range(6):
        value = low + (high - low) * k / 5
        x, y = place(first, value).split(",")
        end = _WIDTH - 12
        drawn.append(f'<line class="grid" x1="{x}" x2="{end}" y1="{y}" y2="{y}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{value:g}</text>')
    for step in sorted({steps[round(k * (len(steps) - 1) / 5)] for k in range(6)}):
        x = place(step, low).split(",")[0]
        drawn.append(f'<text x="{x}" y="{_HEIGHT - 8}" text-anchor="middle">{step}</text>')
    for name, color in (("base", "var(--grey)"), ("best", "var(--ours)")):
        points = " ".join(place(s, v) for s, v in zip(steps, curves[name], strict=True))
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>'
        )
    svg = element(
        "svg",
        element("title", "Mean blind DSC after each step"),
        Markup("".join(drawn)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width="100%",
        role="img",
        style="font-size:12px;fill:currentColor",
    )
    key = element(
        "p",
        element("b", "best setting", style="color:var(--ours)"),
        " and preset (grey); steps along, mean blind DSC upwards",
        class_="faint",
    )
    return element("div", svg, key, class_="strips")
