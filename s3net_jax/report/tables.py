"""Build tables of figures with intervals, and boxes of names and values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from s3net_jax.criteria import Criteria
from s3net_jax.report.markup import Markup, element

__all__ = ["build_metric_table", "build_pairs", "build_table", "format_interval"]


def build_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    ours: Collection[int] = (),
    caption: str = "",
) -> Markup:
    """Build a table that scrolls horizontally if too wide, with a fixed first column.

    Args:
      heads: column headings.
      rows: cells of each row; the first names the row. Text is escaped, :class:`Markup` is kept.
      ours: indices of the rows to highlight.
      caption: description of the table for screen readers.
    """
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = [
        element(
            "tr",
            element("th", cells[0], scope="row"),
            *(element("td", cell) for cell in cells[1:]),
            class_="ours" if number in ours else None,
        )
        for number, cells in enumerate(rows)
    ]
    captions = [element("caption", caption)] if caption else []
    inside = element("table", *captions, element("thead", head), element("tbody", *body))
    return element("div", inside, class_="scroll", tabindex=0, role="group", aria_label=caption)


def build_metric_table(
    methods: Mapping[str, Mapping[str, Any]],
    criteria: Criteria,
    protocol: str,
    *,
    first: str = "method",
    ours: Collection[int] = (),
    caption: str = "",
) -> Markup:
    """Build a table of every metric of each method under one protocol.

    Args:
      methods: name → record with ``protocols``: protocol → metric → mean, low, high.
      criteria: metrics to show.
      protocol: name of the protocol.
      first: heading of the first column.
      ours, caption: see :func:`build_table`.
    """
    means = {method: found["protocols"][protocol] for method, found in methods.items()}
    metrics = criteria.list_metrics(means.values())
    rows = [
        [
            method,
            *(
                format_interval(own[name], metric.digits) if name in own else ""
                for name, metric in metrics.items()
            ),
        ]
        for method, own in means.items()
    ]
    heads = [first, *(metric.title for metric in metrics.values())]
    return build_table(heads, rows, ours=ours, caption=caption)


def format_interval(found: Mapping[str, Any], digits: int = 1, sign: bool = False) -> Markup:
    """Format a mapping with ``mean``, ``low`` and ``high`` as ``mean (low–high)``."""
    if sign:
        spread = f"({found['low']:+z.{digits}f} to {found['high']:+z.{digits}f})"
        text = f"{found['mean']:+z.{digits}f} <small>{spread}</small>"
    else:
        spread = f"({found['low']:.{digits}f}–{found['high']:.{digits}f})"
        text = f"{found['mean']:.{digits}f} <small>{spread}</small>"
    return Markup(text.replace("-", "−"))


def build_pairs(content: Mapping[str, Any], title: str = "") -> Markup:
    """Build boxes of names and values, such as a configuration; one box for each nested mapping."""
    flat = {k: v for k, v in content.items() if not isinstance(v, Mapping)}
    boxes = []
    if flat:
        rows = [
            element("div", element("dt", k), element("dd", _format_value(v)))
            for k, v in flat.items()
        ]
        heads = [element("h3", title)] if title else []
        boxes.append(element("div", *heads, element("dl", *rows), class_="box"))
    for name, value in content.items():
        if isinstance(value, Mapping):
            boxes.append(build_pairs(value, f"{title}.{name}" if title else name))
    return boxes[0] if len(boxes) == 1 else Markup("".join(boxes))


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_format_value, value))
    return str(value)
