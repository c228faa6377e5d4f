"""An evaluation as one HTML page that needs no network: tables, distributions, a gallery."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage

__all__ = ["Picture", "page"]

_THUMB = 260  # pixels of a picture's long side
_TRUTH, _MASK = (255, 255, 255), (0, 229, 255)
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c1e22;background:#fafafa;margin:0}
main{max-width:1120px;margin:auto;padding:24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 8px}
p{max-width:75ch}.faint{color:#6a6f78}
table{border-collapse:collapse;background:#fff;width:100%}
th,td{padding:6px 10px;border-bottom:1px solid #e4e6ea;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}tr.ours{font-weight:600;background:#eef6fb}
.scroll{overflow-x:auto}td small{color:#6a6f78;font-weight:400}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:14px}
figure{margin:0;background:#fff;border:1px solid #e4e6ea;border-radius:6px;padding:8px}
figure img{width:100%;display:block;border-radius:3px}
figcaption{font-size:13px;margin-top:6px}svg text{font:12px system-ui,sans-serif}
pre{background:#fff;border:1px solid #e4e6ea;padding:12px;overflow:auto;font-size:12px}
.key span{display:inline-block;width:12px;height:12px;border:1px solid #888;margin:0 4px 0 12px}
"""


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of the gallery.

    Attributes:
      name: shown below.
      image: makes (H, W, 3) uint8.
      mask, truth: make (H, W) bool.
      scores: protocol → DSC in percent.
    """

    name: str
    image: Callable[[], np.ndarray]
    mask: Callable[[], np.ndarray]
    truth: Callable[[], np.ndarray]
    scores: dict[str, float]


def page(
    title: str, summary: dict[str, Any], blind: dict[str, list[float]], pictures: Iterable[Picture]
) -> str:
    """The whole page.

    Args:
      title: what was evaluated.
      summary: as ``summary.json`` holds it.
      blind: method → DSC of each image, blind.
      pictures: of the gallery; it is sorted here.
    """
    ranked = sorted(pictures, key=lambda picture: picture.scores["blind"], reverse=True)
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _introduction(summary),
        "<h2>Mean DSC, with bootstrap 95 % intervals</h2>",
        _dsc_table(summary),
        _protocols(summary),
        "<h2>Every metric, blind</h2>",
        _metric_table(summary),
        "<h2>Against the others, image by image</h2>",
        _comparisons(summary),
        "<h2>Distribution of the blind DSC</h2>",
        _strips(blind, summary["reference"]),
        "<h2>Gallery, best first</h2>",
        '<p class="key faint"><span style="background:#fff"></span>ground truth'
        '<span style="background:#00e5ff"></span>the tool\'s mask</p>',
        '<div class="gallery">' + "".join(map(_figure, ranked)) + "</div>",
        "<h2>Configuration and versions</h2>",
        f"<pre>{html.escape(json.dumps(summary['config'], indent=1))}</pre>",
        f"<pre>{html.escape(json.dumps(summary['versions'], indent=1))}</pre>",
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _introduction(summary: dict[str, Any]) -> str:
    ours = summary["methods"].get(summary["reference"])
    if ours is None:
        return "<p>No image could be segmented.</p>"
    found = ours["protocols"]["blind"]["dsc"]
    failed = f" {summary['failed']} inputs failed." if summary["failed"] else ""
    return (
        f"<p><b>{html.escape(summary['reference'])}</b> on {ours['images']} images: blind DSC "
        f"<b>{found['mean']:.1f}</b> ({found['low']:.1f}–{found['high']:.1f}), "
        f"{ours['seconds']:.2f} s an image (median).{failed}</p>"
    )


def _protocols(summary: dict[str, Any]) -> str:
    text = "".join(
        f"<li><b>{name}</b>: {html.escape(what)}.</li>"
        for name, what in summary["protocols"].items()
    )
    return (
        f'<ul class="faint">{text}</ul><p>Trust <b>blind</b>: it is the only one that a user '
        "without ground truth can have. <b>overlap</b> and <b>oracle</b> let the ground truth "
        "choose the cluster, and tell what a better choice could gain. <b>released</b> also crops "
        "the prediction with the ground truth: under it the whole image as one cluster scores "
        "higher than most methods, so it measures next to nothing.</p>"
    )


def _row(cells: Iterable[str], ours: bool = False, tag: str = "td") -> str:
    kind = ' class="ours"' if ours else ""
    return f"<tr{kind}>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.1f} <small>({found['low']:.1f}–{found['high']:.1f})</small>"


def _dsc_table(summary: dict[str, Any]) -> str:
    names = list(summary["protocols"])
    rows = [_row(["method", *names, "seconds", "images"], tag="th")]
    for method, found in summary["methods"].items():
        cells = [_interval(found["protocols"][name]["dsc"]) for name in names]
        more = [f"{found['seconds']:.2f}", str(found["images"])]
        ours = method == summary["reference"]
        rows.append(_row([html.escape(method), *cells, *more], ours))
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _metric_table(summary: dict[str, Any]) -> str:
    heads = {"dsc": "DSC ↑", "hm": "HM ↓", "xor": "XOR ↓", "hd95": "HD95 (pixels) ↓"}
    heads["boundary_f"] = "boundary F ↑"
    rows = [_row(["method", *heads.values()], tag="th")]
    for method, found in summary["methods"].items():
        cells = [_interval(found["protocols"]["blind"][metric]) for metric in heads]
        rows.append(_row([html.escape(method), *cells], method == summary["reference"]))
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _comparisons(summary: dict[str, Any]) -> str:
    rows = [
        _row(
            [
                f"blind DSC of {html.escape(summary['reference'])} minus that of",
                "mean difference",
                "Wilcoxon p",
            ],
            tag="th",
        )
    ]
    for method, found in summary["comparisons"].items():
        difference = (
            f"{found['mean']:+.1f} <small>({found['low']:+.1f} to {found['high']:+.1f})</small>"
        )
        rows.append(_row([html.escape(method), difference, f"{found['p_value']:.2g}"]))
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _strips(blind: dict[str, list[float]], reference: str) -> str:
    """A dot for each image, a bar at the median, a line for each method."""
    left, width, line = 230, 780, 30
    height = line * len(blind) + 34
    parts = [f'<svg viewBox="0 0 {left + width + 20} {height}" width="100%" role="img">']
    for tick in range(0, 101, 20):
        x = left + width * tick / 100
        parts.append(f'<line x1="{x}" x2="{x}" y1="4" y2="{height - 24}" stroke="#e4e6ea"/>')
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle">{tick}</text>')
    for n, (method, values) in enumerate(blind.items()):
        y = line * n + 20
        color = "#1b6ca8" if method == reference else "#8a8f98"
        parts.append(
            f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{html.escape(method)}</text>'
        )
        for k, value in enumerate(values):
            x, offset = left + width * value / 100, (k * 7 % 11 - 5)
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y + offset}" r="3.2" fill="{color}" '
                'fill-opacity="0.45"/>'
            )
        middle = left + width * float(np.median(values)) / 100
        parts.append(
            f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{y - 11}" y2="{y + 11}" '
            f'stroke="{color}" stroke-width="3"/>'
        )
    return "".join(parts) + "</svg>"


def _figure(picture: Picture) -> str:
    others = ", ".join(f"{k} {v:.1f}" for k, v in picture.scores.items() if k != "blind")
    return (
        f'<figure><img loading="lazy" alt="{html.escape(picture.name)}" src="{_source(picture)}">'
        f"<figcaption><b>{picture.scores['blind']:.1f}</b> {html.escape(picture.name)}<br>"
        f'<span class="faint">{others}</span></figcaption></figure>'
    )


def _source(picture: Picture) -> str:
    """The image with both outlines, as a data URI."""
    image, mask, truth = picture.image(), picture.mask(), picture.truth()
    scale = _THUMB / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    pixels = np.asarray(PilImage.fromarray(image).resize(size, PilImage.Resampling.BOX)).copy()
    for area, color in ((truth, _TRUTH), (mask, _MASK)):
        small = PilImage.fromarray(area.astype(np.uint8) * np.uint8(255)).resize(size)
        inside = np.asarray(small) > 127
        pixels[inside & ~np.asarray(ndimage.binary_erosion(inside), bool)] = color
    file = io.BytesIO()
    PilImage.fromarray(pixels).save(file, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
