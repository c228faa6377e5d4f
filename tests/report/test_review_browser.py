"""A person reviews results in a browser: keys, clicks, marks that last, and the saved file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.csv_text import parse_csv
from s3net_jax.report import Card, Pixels, Review, Sizes, build_card, build_review_page
from tests.report.browser import CHROMIUM, Browser, open_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    # Python warns of preexec_fn and of forks in a process with threads, such as those of JAX.
    pytest.mark.filterwarnings("ignore"),
]

LABELS = np.repeat(np.arange(4), 20)[None].repeat(60, 0)  # four stripes, 0 on the left
PICTURE = PilImage.fromarray((LABELS * 60).astype(np.uint8)).convert("RGB")


def write_page(path: Path, status: str = "finished") -> None:
    cards = []
    for n, name in enumerate(["=a", "b,c", "c"]):
        card = Card(name, f"key{n}", "", [2], [0.25] * 4, 0.25, 0.9 - n / 10, "", ["fact"], [])
        cards.append((f"k{n}", build_card(card, Pixels(PICTURE, LABELS == 2, LABELS), Sizes())))
    tiles = {"results": ("3", "")}
    review = Review("Title", "run", status, "now", cards, tiles, True, 3, 9, retarget="s3net x")
    path.write_text(build_review_page(review), "utf-8")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    folder = tmp_path_factory.mktemp("browser")
    with open_browser(folder / "profile") as browser:
        yield browser, folder


@pytest.fixture
def browser(shared: tuple[Browser, Path]) -> Iterator[Browser]:
    browser, folder = shared
    browser.resize(1200, 900)
    write_page(folder / "page.html")
    browser.open(folder / "page.html")
    browser.run("localStorage.clear()")
    browser.open(folder / "page.html")
    browser.errors.clear()
    yield browser
    assert browser.errors == []


def rows(browser: Browser) -> list[dict[str, str]]:
    return parse_csv(browser.run("byId('targets').value").encode())


def test_clusters_are_picked_with_keys(browser: Browser) -> None:
    browser.press("j")
    browser.press("Enter")
    browser.wait("byId('viewer').open && byId('chips').children.length === 4")
    assert browser.run("byId('viewer-title').textContent") == "c", "the least certain comes first"
    assert browser.run("byId('viewer-target').textContent") == (
        "Target: the tool's mask (label:2)."
    )
    browser.press("3")
    browser.press("2")
    browser.press("g")
    assert rows(browser) == [{"image": "c", "target": "label:3", "verdict": "good"}]
    assert (
        browser.run(
            "[...byId('chips').children].map(chip => chip.getAttribute('aria-pressed')).join()"
        )
        == "false,false,false,true"
    )
    # The preview: the mask is the stripe on the right, bright between dark.
    alpha = (
        "(() => { const c = $('canvas', byId('whole'))[0];"
        "const d = c.getContext('2d').getImageData(0, 30, 80, 1).data;"
        "return [10, 30, 50, 70].map(x => d[4 * x + 3] > 50); })()"
    )
    assert browser.run(alpha) == [True, True, True, False]
    browser.press("c")
    assert rows(browser) == [{"image": "c", "target": "", "verdict": "good"}]
    assert browser.run(alpha) == [False] * 4
    assert "no cluster, instead" in browser.run("byId('viewer-target').textContent")
    browser.press("0")
    assert rows(browser)[0]["target"] == "label:0"
    browser.press("r")
    assert browser.run("$('.dim', byId('whole')).length") == 1, "the tool's mask is bright"
    assert rows(browser) == [{"image": "c", "target": "", "verdict": "good"}]
    browser.press("ArrowRight")
    browser.wait(
        "byId('viewer-title').textContent === 'b,c' && byId('chips').children.length === 4"
    )
    browser.press("b")
    browser.press("Escape")
    browser.wait("!byId('viewer').open")
    browser.press("k")
    browser.press("b")
    assert {(row["image"], row["verdict"]) for row in rows(browser)} == {
        ("b,c", "bad"),
        ("c", "bad"),
    }
    browser.press("?")
    browser.wait("byId('keys').open")


def test_clusters_are_picked_on_the_label_map(browser: Browser) -> None:
    browser.click(".card .shot")
    browser.wait("byId('chips').children.length === 4")
    browser.click("#clusters canvas", 0.1)  # adds the first stripe
    browser.click("#clusters canvas", 0.6)  # removes the third one
    assert rows(browser) == [{"image": "c", "target": "label:0", "verdict": ""}]
    browser.click("#chips button:nth-child(2)")
    assert rows(browser)[0]["target"] == "label:0,1"
    browser.click("#viewer-close")
    browser.wait("document.querySelector('.card.changed .picked path') !== null")
    assert browser.run("$('.card.changed .mark')[0].textContent") == "label:0,1"


def test_marks_outlast_a_reload_and_are_saved(
    browser: Browser, shared: tuple[Browser, Path]
) -> None:
    folder = shared[1]
    browser.click(".card .good")
    browser.run("location.reload()")
    browser.wait("document.readyState === 'complete' && $('.is-good').length === 1")
    downloads = folder / "downloads"
    session, browser._session = browser._session, ""  # a command to the browser, not to the tab
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
    browser._session = session
    browser.run("results.setVerdict($('.card')[2], 'bad')")
    browser.click(".save")
    path = downloads / "targets.csv"
    browser.wait("true")
    while not path.exists() or not path.read_bytes():
        browser.run("new Promise(done => setTimeout(done, 50))")
    assert {(row["image"], row["verdict"]) for row in parse_csv(path.read_bytes())} == {
        ("c", "good"),
        ("=a", "bad"),
    }
    assert b"\n'=a,,bad\n" in path.read_bytes(), "a name is not a formula"
    os.unlink(path)
    browser.run("byId('forget').click()")
    browser.wait("byId('targets').value === '' && $('.is-good').length === 0")


def test_sorting_and_filtering(browser: Browser) -> None:
    names = "results.listShown().map(card => card.dataset.name).join('|')"
    assert browser.run(names) == "c|b,c|=a"
    browser.run("byId('sort').value = 'name'; results.arrange()")
    assert browser.run(names) == "=a|b,c|c"
    browser.run("results.setVerdict($('.card')[1], 'bad')")
    browser.run("byId('show').value = 'open'; results.arrange()")
    assert browser.run(names) == "=a|c"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, False), (390, True)])
def test_nothing_is_wider_than_the_screen(browser: Browser, width: int, dark: bool) -> None:
    browser.resize(width, 844, dark)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    browser.click(".card .shot")
    browser.wait("byId('chips').children.length === 4")
    assert browser.run("byId('viewer').scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_enough_contrast(browser: Browser, dark: bool) -> None:
    """At least 4.5 : 1 (WCAG AA), for every text on its nearest opaque background."""
    browser.resize(1200, 900, dark)
    browser.run(
        "results.setVerdict($('.card')[0], 'good'); results.setVerdict($('.card')[1], 'bad')"
    )
    browser.click(".card .shot")
    browser.wait("byId('chips').children.length === 4")
    found = browser.run(_CONTRAST)
    assert json.loads(found) == []


_CONTRAST = """
(() => {
  const parse = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const bad = [];
  for (const item of document.querySelectorAll('main *')) {
    const own = [...item.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const style = getComputedStyle(item);
    if (!own || !item.getClientRects().length || item.closest('svg') || item.disabled) continue;
    let place = item, back = [0, 0, 0, 0];
    while (place && (back[3] ?? 1) < 1) {
      back = parse(getComputedStyle(place).backgroundColor);
      place = place.parentElement;
    }
    const [a, b] = [light(parse(style.color)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push([item.tagName, item.className, item.textContent.slice(0, 30), ratio]);
  }
  return JSON.stringify(bad);
})()
"""


def test_the_page_reloads_while_the_run_continues(shared: tuple[Browser, Path]) -> None:
    browser, folder = shared
    write_page(folder / "running.html", "running")
    browser.open(folder / "running.html")
    assert browser.run("byId('reload').checked")
    # Without waiting for 20 s: the page that stays the same is loaded less often.
    waits = "JSON.parse(sessionStorage.getItem('s3net-reload'))[1]"
    assert browser.run(waits) == 0
    browser.run("location.reload()")
    browser.wait(f"document.readyState === 'complete' && {waits} === 1")
