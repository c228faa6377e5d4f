"""Draw distributions as strips: a dot for each value, a box of quartiles, the median."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from s3net_jax.report.markup import Markup, element

__all__ = ["draw_distributions"]

_HEIGHT = 40  # height of a strip in pixels


def draw_distributions(
    values: Mapping[str, Sequence[float]],
    *,
    ours: Iterable[str] = (),
    low: float = 0.0,
    high: float = 100.0,
    unit: str = "",
) -> Markup:
    """Draw a strip for each method: dots, a box between the quartiles, a bar at the median.

    Args:
      values: method → one finite value for each image, at least one.
      ours: methods to highlight.
      low, high: ends of the axis; values outside are drawn at the nearer end.
      unit: text after each median.
    """
    marked = set(ours)
    rows: list[str] = []
    for method, found in values.items():
        middle = float(np.median(found))
        rows += [
            element("span", method, class_="name"),
            _draw_strip(method, np.asarray(found, float), low, high),
            element("span", element("b", f"{middle:.1f}{unit}"), class_="figure"),
        ]
        if method in marked:
            rows[-3:] = [element("div", *rows[-3:], class_="strip ours")]
        else:
            rows[-3:] = [element("div", *rows[-3:], class_="strip")]
    ticks = [
        element("span", f"{low + (high - low) * n / 5:g}", style=f"left:{20 * n}%")
        for n in range(6)
    ]
    head = element(
        "div",
        element("span", "", class_="name"),
        element("span", "", class_="plot"),
        element("span", "median", class_="figure faint"),
        class_="strip head",
    )
    axis = element(
        "div",
        element("span", "", class_="name"),
        element("span", *ticks, class_="plot ticks"),
        element("span", "", class_="figure"),
        class_="strip axis",
    )
    return element("div", head, *rows, axis, class_="strips")


def _draw_strip(method: str, found: np.ndarray, low: float, high: float) -> Markup:
    """Draw one strip; positions are in percent of the width, so it fits any screen."""
    places = 100 * np.clip((found - low) / (high - low), 0, 1)
    first, middle, third = np.percentile(places, (25, 50, 75))
    summary = (
        f"{method}: {len(found)} values, median {np.median(found):.1f}, "
        f"from {found.min():.1f} to {found.max():.1f}"
    )
    centre = _HEIGHT / 2
    grid = "".join(
        f'<line class="grid" x1="{20 * n}%" x2="{20 * n}%" y1="0" y2="{_HEIGHT}"/>'
        for n in range(6)
    )
    box = (
        f'<rect class="box" x="{first:.2f}%" width="{max(third - first, 0.1):.2f}%" '
        f'y="{centre - 11}" height="22" rx="3"/>'
    )
    # Spread neighbouring dots vertically by a fixed pattern, so that pages are reproducible.
    dots = "".join(
        f'<circle cx="{place:.2f}%" cy="{centre + (k * 7 % 11 - 5) * 1.6:.1f}" r="3.2"/>'
        for k, place in enumerate(places)
    )
    bar = (
        f'<line class="median" x1="{middle:.2f}%" x2="{middle:.2f}%" '
        f'y1="{centre - 14}" y2="{centre + 14}"/>'
    )
    return element(
        "svg",
        element("title", summary),
        Markup(grid + box + dots + bar),
        class_="plot",
        height=_HEIGHT,
        width="100%",
        role="img",
        aria_label=summary,
    )
