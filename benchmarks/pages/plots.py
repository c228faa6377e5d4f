"""Plot result files as SVG."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["PLOTS", "save_plot"]

Content = dict[str, Any]
_COLORS = {"s3net-jax": "#1b6ca8", "torch eager": "#c8553d", "torch": "#c8553d"}
_OTHERS = ("#7aa95c", "#8e6c8a", "#d8973c", "#5b8e7d", "#888888")


def save_plot(content: Content, path: Path) -> None:
    """Draw the result ``content`` of a suite in :data:`PLOTS` to ``path``."""
    import matplotlib

    matplotlib.use("svg")
    # A fixed salt for ids, so that the same result gives the same file.
    settings: Any = {"svg.hashsalt": "s3net", "font.size": 9, "axes.spines.top": False}
    settings |= {"axes.spines.right": False, "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        import matplotlib.pyplot as plt

        figure = PLOTS[content["suite"]](content)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    # Remove trailing spaces, which text tools complain about.
    path.write_text(re.sub(r" +\n", "\n", path.read_text()))


def _choose_color(name: str, n: int) -> str:
    return _COLORS.get(name, _OTHERS[n % len(_OTHERS)])


def _make_subplots(count: int, width: float = 4.2, height: float = 3.2):
    import matplotlib.pyplot as plt

    return plt.subplots(1, count, figsize=(width * count, height), squeeze=False)


def _draw_bars(axes: Any, rows: Content, key: str, label: str) -> None:
    names = list(rows)
    for n, name in enumerate(names):
        value = rows[name][key]
        axes.barh(n, value, color=_choose_color(name, n))
        axes.text(value, n, f" {value:.3g}", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.margins(x=0.15)


def _plot_steps(content: Content) -> Any:
    figure, axes = _make_subplots(len(content["presets"]), 5)
    for (preset, rows), axis in zip(content["presets"].items(), axes[0], strict=True):
        _draw_bars(axis, rows, "median_s", "seconds per step")
        axis.set_title(preset, pad=16)
        if preset in content["products"]:
            floor = content["products"][preset]["median_s"]
            axis.axvline(floor, color="black", linewidth=0.8, linestyle=":")
            axis.text(floor, -0.7, " only matrix products", fontsize=7)
    figure.tight_layout()
    return figure


def _plot_fits(content: Content) -> Any:
    figure, axes = _make_subplots(len(content["presets"]), 5)
    for (preset, rows), axis in zip(content["presets"].items(), axes[0], strict=True):
        _draw_bars(axis, rows, "images_per_minute", "images per minute (50 steps)")
        axis.set_title(preset)
    figure.tight_layout()
    return figure


def _plot_ops(content: Content) -> Any:
    """Plot the speed-up over PyTorch of each call's best implementation, forward and backward."""
    best: dict[str, float] = {}
    for row in content["rows"]:
        faster = row.get("times_faster_than_torch")
        if faster and row["direction"] != "forward" and row["dtype"] == "float32":
            name = f"{row['operator']} {row['call']}"
            best[name] = max(best.get(name, 0), faster["median"])
    figure, axes = _make_subplots(1, 7, 0.8 + 0.24 * len(best))
    axis = axes[0][0]
    for n, (_name, value) in enumerate(best.items()):
        axis.barh(n, value, color="#1b6ca8" if value >= 1 else "#c8553d")
        axis.text(value, n, f" {value:.1f}", va="center", fontsize=7)
    axis.set_yticks(range(len(best)), list(best), fontsize=7)
    axis.invert_yaxis()
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_xlabel("times faster than PyTorch, forward and backward, float32")
    return figure


def _plot_numerics(content: Content) -> Any:
    found = content["trajectories"]
    if not found:
        return _plot_shares(content)
    figure, axes = _make_subplots(len(found))
    for (preset, rows), axis in zip(found.items(), axes[0], strict=True):
        for n, row in enumerate(rows):
            style = "-" if row["dtype"] == "float32" else ":"
            name = f"{row['implementation']}, {row['dtype']}"
            labels = [100 * share for share in row["labels"]]
            color = _choose_color(row["implementation"], n)
            axis.plot(range(1, len(labels) + 1), labels, style, color=color, label=name)
        axis.set_title(preset)
        axis.set_xlabel("step")
        axis.set_ylabel("% of labels equal to float64")
    axes[0][0].legend(fontsize=6)
    figure.tight_layout()
    return figure


def _plot_shares(content: Content) -> Any:
    rows = [r for r in content["operators"] if r["implementation"] != "torch"]
    figure, axes = _make_subplots(1, 7, 0.4 + 0.16 * len(rows))
    names = [f"{r['operator']}, {r['dtype']}, {r['implementation']}" for r in rows]
    axes[0][0].barh(names[::-1], [100 * (r["share_of_tolerance"] or 0) for r in rows[::-1]])
    axes[0][0].tick_params(labelsize=6)
    axes[0][0].set_xlabel("% of the allowed error")
    figure.tight_layout()
    return figure


def _plot_many(content: Content) -> Any:
    groups = {content["source"]: content["images"]}
    if content["processes"]:
        groups["the command"] = content["processes"]["rows"]
    figure, axes = _make_subplots(len(groups), 5, 2)
    for (title, rows), axis in zip(groups.items(), axes[0], strict=True):
        _draw_bars(axis, rows, "images_per_minute", "images per minute")
        axis.set_title(title, loc="left")
    figure.tight_layout()
    return figure


def _plot_scaling(content: Content) -> Any:
    along = list(dict.fromkeys(row["axis"] for row in content["rows"]))
    figure, axes = _make_subplots(len(along), 3.6)
    for axis_name, axis in zip(along, axes[0], strict=True):
        rows = [r for r in content["rows"] if r["axis"] == axis_name and "candidates" in r]
        names = list(dict.fromkeys(n for r in rows for n in r["candidates"]))
        for n, name in enumerate(names):
            points = [
                (r[axis_name], r["candidates"][name]["per_image_and_step"]["median_s"])
                for r in rows
                if name in r["candidates"]
            ]
            axis.loglog(*zip(*points, strict=True), "o-", color=_choose_color(name, n), label=name)
        values = sorted({r[axis_name] for r in rows})
        axis.set_xticks(values, [str(v) for v in values])
        axis.minorticks_off()
        axis.set_xlabel(axis_name)
        axis.set_ylabel("seconds per image and step")
        axis.legend(fontsize=7)
    figure.tight_layout()
    return figure


_DOMAINS = {"lung_ct": "lungs", "busi": "ultrasound", "kvasir_sessile": "polyps"}


def _plot_confidence(content: Content) -> Any:
    """Plot expected and true DSC of the reported half, and the means in bins of expected DSC."""
    bases = list(content["weights"])
    figure, axes = _make_subplots(len(bases), 3.6, 3.6)
    for basis, axis in zip(bases, axes[0], strict=True):
        used = [r for r in content["rows"] if r["basis"] == basis and r["reported"]]
        groups: dict[str, list[Content]] = {"skin": [], "lungs": [], "ultrasound": [], "polyps": []}
        for row in used:
            groups[_DOMAINS.get(row["data"], "skin")].append(row)
        axis.axline((0, 0), slope=1, color="black", linewidth=0.6)
        axis.axvline(content["check_below"], color="black", linewidth=0.6, linestyle=":")
        for n, (name, rows) in enumerate(groups.items()):
            points = [row["expected_dsc"] for row in rows], [row["dsc"] for row in rows]
            axis.scatter(*points, s=6, alpha=0.5, linewidths=0, color=_OTHERS[n], label=name)
        bins = content["summaries"][basis]["together"]["bins"]
        means = [b["expected"] for b in bins], [b["dsc"] for b in bins]
        axis.plot(*means, "o-", color="#c8553d", markersize=4, label="means of bins")
        axis.set_title(content["titles"][basis].replace("`", ""), fontsize=9)
        axis.set_xlabel("expected DSC")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
    axes[0][0].set_ylabel("true DSC")
    axes[0][0].legend(fontsize=6, loc="upper left")
    figure.tight_layout()
    return figure


PLOTS: dict[str, Callable[[Content], Any]] = {
    "ops": _plot_ops,
    "step": _plot_steps,
    "fit": _plot_fits,
    "many": _plot_many,
    "numerics": _plot_numerics,
    "scaling": _plot_scaling,
    "confidence": _plot_confidence,
}
