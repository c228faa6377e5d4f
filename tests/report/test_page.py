"""Pages: whole, without a network, escaped; outlines where the masks are."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.io import Film, Strip, make_cluster_colors
from s3net_jax.report import (
    SCRIPT,
    Closeup,
    Curve,
    Markup,
    Picture,
    build_closeup,
    build_document,
    build_film_strips,
    build_gallery,
    build_links,
    build_pairs,
    build_section,
    build_switches,
    build_table,
    build_tiles,
    draw_chart,
    draw_distributions,
    draw_history_charts,
    draw_outlines,
    element,
    format_interval,
)
from s3net_jax.report.closeup import draw_disagreement
from s3net_jax.report.pictures import encode_data_uri, shrink, trace_outline, trace_regions
from tests.report.reading import read_page

EVIL = '<script>alert("&\'")</script>'


def picture(name: str, score: float, shape: tuple[int, int] = (60, 80)) -> Picture:
    mask = np.zeros(shape, bool)
    mask[10:30, 20:50] = True
    return Picture(
        name,
        lambda: np.full((*shape, 3), 90, np.uint8),
        lambda: mask,
        lambda: np.roll(mask, 3, 1),
        {"blind": score, "oracle": 99.0},
    )


def history(seed: int, steps: int = 5) -> dict[str, Any]:
    terms = {name: np.linspace(9, 1, steps) for name in ("loss", "ce", "affine", "spatial")}
    return {"seed": seed, **terms, "labels": np.arange(steps, 0, -1.0)}


def make_closeup(name: str) -> Closeup:
    one = picture(name, 42)
    frames = np.zeros((2, 6, 8), int)
    frames[0, :3] = 1
    strips = [Strip(f"{name} {n}", ("step 1", "result"), (2, 1), frames) for n in range(4)]
    return Closeup(
        one,
        lambda: one.mask().astype(int),
        lambda: np.where(one.mask(), 0.5, 1.0),
        lambda: Film(tuple(strips)),
        lambda: [history(0), history(1, 3)],
    )


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("td", EVIL, title=EVIL).count("<") == 2
    assert element("td", Markup("<b>x</b>"), class_="a", hidden=True, id=None) == (
        '<td class="a" hidden><b>x</b></td>'
    )


def test_every_part_escapes_what_it_is_given() -> None:
    parts = [
        build_section(EVIL, about=EVIL),
        build_tiles({EVIL: (EVIL, EVIL)}),
        build_table([EVIL, "b"], [[EVIL, EVIL]], ours=[0], caption=EVIL),
        build_pairs({EVIL: EVIL, "section": {EVIL: [1, True]}}),
        draw_distributions({EVIL: [3.0]}, unit=EVIL),
        build_switches(),
        build_gallery([picture(EVIL, 5)]),
        build_closeup(make_closeup(EVIL)),
        draw_chart(EVIL, [Curve(EVIL, np.ones(3)), Curve(EVIL, np.ones(3))]),
        build_links({EVIL: EVIL}),
    ]
    page = read_page(build_document(EVIL, parts, script=SCRIPT))
    assert len(page.all("script")) == 1 and page.text.count(EVIL) >= 20


def test_a_page_runs_its_own_script_and_nothing_else() -> None:
    """The policy precedes the content it governs, and names the hash of the script."""
    text = build_document("x", [build_gallery([picture("a", 5)])], script=SCRIPT)
    page = read_page(text)
    (policy,) = (tag["content"] for tag in page.all("meta") if "http-equiv" in tag)
    assert policy is not None and text.index("Content-Security-Policy") < text.index("<style")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    inside = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert not any(name.startswith("on") for _, tag in page.tags for name in tag), "no handlers"
    assert "script-src" not in build_document("x", [])


def test_names_are_shown_with_what_cannot_be_seen() -> None:
    name = os.fsdecode(b"na\xefve \xe2\x80\xaegnp\x1b.exe")
    text = build_document(
        name, [build_gallery([picture(name, 5)]), build_closeup(make_closeup(name))], script=SCRIPT
    )
    assert text.encode() and "na\\udcefve \\u202egnp\\x1b.exe" in text
    assert "\u202e" not in text and "\x1b" not in text


def test_the_gallery_is_sorted_and_says_what_it_is_sorted_by() -> None:
    page = read_page(build_document("x", [build_gallery([picture("a", 5), picture("b", 50)])]))
    figures = page.all("figure")
    assert [figure["data-name"] for figure in figures] == ["b", "a"]
    assert figures[0]["data-blind"] == "50.000" and figures[0]["data-oracle"] == "99.000"
    assert all("outlines" in (img["alt"] or "") for img in page.all("img"))
    assert "no picture" in build_gallery([])


@pytest.mark.slow
def test_thumbnails_shrink_where_there_are_many() -> None:
    few, many = (build_gallery([picture(str(n), n) for n in range(count)]) for count in (3, 800))
    widths = [int(re.findall(r'width="(\d+)"', text)[0]) for text in (few, many)]
    assert widths == [320, 160]


@pytest.mark.parametrize("shape", [(50, 50), (300, 400), (9, 200)])
def test_the_outline_is_where_the_mask_ends(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, bool)
    mask[: shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    path, width, height = trace_outline(mask)
    points, place = [], np.zeros(2)
    for letter, numbers in re.findall(r"([Ml])([-\d ]+)", path):
        for x, y in np.array(numbers.split(), int).reshape(-1, 2):
            place = np.array([x, y]) if letter == "M" else place + np.array([x, y])
            points.append(place)
    low, high = np.min(points, 0), np.max(points, 0)
    assert low == pytest.approx([width / 4, 0], abs=10)
    assert high == pytest.approx([width / 2, height / 2], abs=10)


def test_outlines_of_nothing_and_of_everything() -> None:
    assert trace_outline(np.zeros((8, 8), bool))[0] == ""
    assert trace_outline(np.ones((8, 8), bool))[0].startswith("M")


def test_boundaries_between_regions() -> None:
    """Every side between two regions is on the path once, and speckles are left out."""
    labels = np.zeros((30, 40), int)
    labels[:, 25:] = 4
    labels[20:] += 1
    labels[3, 3] = labels[9, 30] = 9
    path, width, height = trace_regions(labels)
    assert (width, height) == (400, 300)
    runs = re.findall(r"M(\d+) (\d+)([hv])(\d+)", path)
    assert runs == [("0", "200", "h", "400"), ("250", "0", "v", "300")]
    assert trace_regions(np.full((8, 8), 3))[0] == ""
    noise = np.random.default_rng(0).integers(0, 2, (320, 480))
    assert len(trace_regions(noise)[0]) < 40_000, "noise does not make a page large"
    one = Picture("x", lambda: np.zeros((30, 40, 3), np.uint8), lambda: labels, lambda: labels, {})
    assert draw_outlines(one, 64).count(path) == 2, "lines without a halo, for both maps"


def test_distributions_stay_on_their_axis() -> None:
    text = draw_distributions({"a": [-5.0, 50, 120], "b": [7.0]}, ours=["a"])
    places = [float(x) for x in re.findall(r'cx="([\d.]+)%"', text)]
    assert places == [0, 50, 100, 7] and "median 50.0, from -5.0 to 120.0" in text
    read_page(build_document("x", [text]))


def test_intervals() -> None:
    found = {"mean": 1.26, "low": -0.5, "high": 2}
    assert format_interval(found) == "1.3 <small>(−0.5–2.0)</small>"
    assert format_interval(found, 2, sign=True) == "+1.26 <small>(−0.50 to +2.00)</small>"


def test_pictures_keep_their_proportions() -> None:
    small = shrink(np.zeros((300, 600, 3), np.uint8), 100)
    assert small.size == (100, 50)
    assert encode_data_uri(small).startswith("data:image/jpeg;base64,")
    assert encode_data_uri(PilImage.new("P", (3, 3)), "PNG").startswith("data:image/png;base64,")


def test_a_closeup_has_all_there_is() -> None:
    page = read_page(build_document("x", [build_closeup(make_closeup("a"))], script=SCRIPT))
    alts = [img["alt"] or "" for img in page.all("img")]
    assert all(alts) and len(alts) == 3 + 3 * 2, "three panels, three strips of two frames"
    assert "75 %" not in alts[2] and "agreement of the seeds" in alts[2]
    assert "a 0, step 1: 2 clusters" in alts and "a 2, result: 1 cluster" in alts
    assert len(page.all("button")) == 3 and len(page.all("polyline")) == 4
    one = picture("b", 7)
    bare = read_page(
        build_document("x", [build_closeup(Closeup(one, lambda: one.mask().astype(int)))])
    )
    assert len(bare.all("img")) == 2 and not bare.all("polyline") and not bare.all("button")


def test_frames_keep_their_labels() -> None:
    frames = np.array([[[0, 5], [200, 1]]])
    text = build_film_strips(Film((Strip("x", ("step 1",), (4,), frames),)))
    code = re.findall(r"base64,([^\"]+)", text)[0]
    with PilImage.open(io.BytesIO(base64.b64decode(code))) as shown:
        np.testing.assert_array_equal(
            np.asarray(shown.convert("RGB")), make_cluster_colors(240)[frames[0]]
        )


def test_one_history_shows_its_terms_and_several_their_losses() -> None:
    one, two = draw_history_charts([history(0)]), draw_history_charts([history(0), history(7)])
    assert "cross entropy" in one and "unweighted terms" in one
    assert "seed 7" in two and "cross entropy" not in two


def test_charts_leave_out_what_is_not_finite() -> None:
    values = np.array([1, 2, np.nan, 4, np.inf, 5, 6])
    text = draw_chart("x", [Curve("x", values)])
    assert text.count("<polyline") == 2 and text.count("<circle") == 1 and "nan," not in text
    read_page(build_document("x", [text, draw_chart("y", [Curve("y", np.full(3, np.nan))])]))
    lines = re.findall(r'points="([^"]+)"', draw_chart("z", [Curve("z", np.array([1.0, 64]))]))
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in lines[0].split())
    assert x0 < x1 and y0 > y1, "steps go right, values up"


def test_clusters_are_counted_in_doublings() -> None:
    text = draw_chart("x", [Curve("x", np.array([64.0, 8, 1]))], doubling=True)
    assert [int(n) for n in re.findall(r'"end">(\d+)<', text)] == [1, 2, 4, 8, 16, 32, 64]


def test_disagreement_is_orange_and_agreement_grey() -> None:
    image = np.full((40, 60, 3), (200, 60, 60), np.uint8)
    share = np.ones((40, 60), np.float32)
    share[:, 30:] = 0.5
    pixels = np.asarray(draw_disagreement(image, share, 60)).astype(int)
    assert np.ptp(pixels[:, :25], axis=-1).max() <= 1
    assert (pixels[:, 35:, 0] - pixels[:, 35:, 2]).min() > 100
