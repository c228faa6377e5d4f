"""Draw curves of fits over steps: the loss and its terms, the number of clusters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3net_jax.report.markup import Markup, element, join

__all__ = ["Curve", "draw_chart", "draw_history_charts"]

_WIDTH, _HEIGHT = 400, 190  # size of a chart in SVG units; CSS scales it to the column
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 8, 36  # margins, with room for tick labels
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 4")  # distinguish curves without relying on colour
_TITLES = {"ce": "cross entropy"}  # other terms are called by their names
_OTHERS = {"labels", "piece", "seed", "steps"}  # what a history has beside the loss and its terms


@dataclass(frozen=True, eq=False)
class Curve:
    """A named line: ``values`` (N,) at steps 1..N; values that are not finite leave gaps."""

    name: str
    values: np.ndarray


def draw_history_charts(histories: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw two charts over steps, side by side: the loss and the number of clusters.

    Args:
      histories: mappings with (steps,) arrays ``loss``, ``labels`` and one for each term, and the
        integers ``piece``, ``seed``, ``steps``. For one history the terms of the loss are drawn,
        for several only the losses.
    """
    if len(histories) == 1:
        terms = {name: values for name, values in histories[0].items() if name not in _OTHERS}
        losses = [Curve(_TITLES.get(name, name), values) for name, values in terms.items()]
        about = "Loss and its unweighted terms"
    else:
        losses = [Curve(f"seed {h['seed']}", h["loss"]) for h in histories]
        about = "Loss for each seed"
    labels = [Curve(f"seed {h['seed']}", h["labels"]) for h in histories]
    return element(
        "div",
        draw_chart(about, losses),
        draw_chart("Number of clusters", labels, doubling=True),
        class_="charts",
    )


def draw_chart(title: str, curves: Sequence[Curve], *, doubling: bool = False) -> Markup:
    """Draw lines over steps, distinguished by colour and dashes.

    Args:
      title: heading above the chart.
      curves: one or more curves; colours repeat after five.
      doubling: whether the vertical axis is logarithmic with base 2, for counts of at least 1.
    """
    steps = max(len(curve.values) for curve in curves)
    finite = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in curves])
    if doubling:
        finite = np.log2(np.maximum(finite, 1))
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low = min(low, 0.0)
    high = high if high > low else low + 1

    def place_x(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (step - 1) / max(steps - 1, 1)

    def place_y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    parts = []
    rungs = range(math.ceil(high) + 1) if doubling else _choose_ticks(low, high, 4)
    for rung in rungs:
        if rung > high + 1e-9:
            continue
        y = place_y(rung)
        name = f"{2**rung:g}" if doubling else f"{rung:g}"
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
        )
    for step in dict.fromkeys([1, *(int(t) for t in _choose_ticks(1, steps, 5) if t >= 1)]):
        parts.append(
            f'<text x="{place_x(step):.1f}" y="{_HEIGHT - _BOTTOM + 16}" '
            f'text-anchor="middle">{step}</text>'
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">'
        "step</text>"
    )
    for n, curve in enumerate(curves):
        values = np.log2(np.maximum(curve.values, 1)) if doubling else curve.values
        style = f'class="series s{n % 5 + 1}" stroke-dasharray="{_DASHES[n % 5]}"'
        for run in _find_runs(values):
            points = " ".join(f"{place_x(k + 1):.1f},{place_y(float(values[k])):.1f}" for k in run)
            if len(run) == 1:  # a polyline with one point is invisible
                k = run[0]
                parts.append(
                    f'<circle class="s{n % 5 + 1}" cx="{place_x(k + 1):.1f}" '
                    f'cy="{place_y(float(values[k])):.1f}" r="2.5"/>'
                )
            else:
                parts.append(f'<polyline {style} points="{points}"/>')
    description = f"{title}, over {steps} steps: " + "; ".join(
        f"{c.name} from {c.values[0]:.3g} to {c.values[-1]:.3g}" for c in curves
    )
    drawing = element(
        "svg",
        element("title", description),
        Markup("".join(parts)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=description,
        class_="chart",
    )
    return element("figure", element("figcaption", title), drawing, _build_legend(curves))


def _build_legend(curves: Sequence[Curve]) -> Markup:
    if len(curves) == 1:
        return Markup("")
    items = [
        element(
            "span",
            Markup(
                f'<svg width="28" height="8" aria-hidden="true"><line class="series s{n % 5 + 1}" '
                f'x1="0" x2="28" y1="4" y2="4" stroke-dasharray="{_DASHES[n % 5]}"/></svg>'
            ),
            curve.name,
        )
        for n, curve in enumerate(curves)
    ]
    return element("p", join(items), class_="legend faint")


def _find_runs(values: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each run of consecutive finite values."""
    places = np.flatnonzero(np.isfinite(values))
    if not places.size:
        return []
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)


def _choose_ticks(low: float, high: float, wanted: int) -> list[float]:
    """Choose about ``wanted`` round numbers from ``low`` to ``high``."""
    raw = (high - low) / wanted
    if raw <= 0:
        return [low]
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]
