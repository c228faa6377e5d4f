"""The parts of the review page's script that need no browser, in Node.js."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import zlib
from importlib import resources
from typing import Any

import numpy as np
import pytest

from s3net_jax.csv_text import format_cell, format_csv, parse_csv

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


def run_script(code: str, value: object = None) -> Any:
    """Run ``code``, the body of an async function of ``value``, after the script's functions."""
    folder = resources.files("s3net_jax.report") / "static"
    parts = [(folder / name).read_text("utf-8") for name in ("labels.js", "marks.js")]
    parts.append(
        "const run = async value => {" + code + "};\n"
        f"run({json.dumps(value)}).then(found => console.log(JSON.stringify(found)));"
    )
    assert NODE is not None
    done = subprocess.run(
        [NODE, "-e", "\n".join(parts)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_saved_choices_are_csv_without_formulas() -> None:
    names = ["a", "=1+2", "@x", 'q"uo,te', "line\nbreak", "back\\slash", "-3", "\u202eé"]
    rows = [
        {"cell": format_cell(name), "picks": [3, 12], "verdict": "bad" if n % 2 else ""}
        for n, name in enumerate(names)
    ]
    rows.append({"cell": "z", "picks": None, "verdict": "good"})
    text = run_script("return formatTargets(value);", rows)
    expected = [[name, "label:3,12", "bad" if n % 2 else ""] for n, name in enumerate(names)] + [
        ["z", "", "good"]
    ]
    assert text.encode() == format_csv(["image", "target", "verdict"], expected)
    found = parse_csv(text.encode())
    assert [row["image"] for row in found] == [*names, "z"]


@pytest.mark.parametrize("kind", ["u1", "<u2"])
def test_label_maps_are_unpacked(kind: str) -> None:
    labels = np.random.default_rng(0).integers(0, 250, 77).astype(kind)
    labels[5] = 255 if kind == "u1" else 999
    code = base64.b64encode(zlib.compress(labels.tobytes(), 9)).decode()
    found = run_script("return [...await unpackLabels(value, 77)];", code)
    assert found == labels.tolist()


def test_outlines_are_between_picked_cells_and_others() -> None:
    labels = np.array([[0, 0, 1], [0, 2, 1]])
    map_ = {"labels": labels.ravel().tolist(), "width": 3, "height": 2}
    path = run_script("return tracePicks(value, [1, 2]);", map_)
    assert path == "M2 0h1M1 1h1M1 2h2M1 1v1M2 0v1M3 0v2"
    assert run_script("return tracePicks(value, []);", map_) == ""


def test_numbers_are_inside_their_clusters() -> None:
    labels = np.zeros((30, 40), int)
    labels[5:16, 20:31] = 1
    labels[29, 0] = 2
    map_ = {"labels": labels.ravel().tolist(), "width": 40, "height": 30}
    found = dict(run_script("return [...findCentres(value)];", map_))
    assert (found[1]["x"], found[1]["y"], found[1]["radius"]) == (25, 10, 6)
    assert (found[2]["x"], found[2]["y"], found[2]["radius"]) == (0, 29, 1)
    assert labels[found[0]["y"], found[0]["x"]] == 0


def test_marks_survive_a_reload_and_a_damaged_or_denied_storage() -> None:
    code = """
      const kept = new Map();
      const storage = {getItem: k => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v)};
      const first = new Marks('r', () => storage), other = new Marks('r', () => storage);
      first.set('a', {picks: [3, 1, 3]});
      other.set('b', {verdict: 'good'});
      first.set('a', {verdict: 'bad'});
      first.set('c', {verdict: 'good'});
      first.set('c', {verdict: ''});
      const again = new Marks('r', () => storage);
      kept.set('s3net-review-x', '{"a": {"picks": "none", "verdict": 7}, "b": 5}');
      kept.set('s3net-review-y', '{"a"');
      const odd = new Marks('x', () => storage), broken = new Marks('y', () => storage);
      const denied = new Marks('r', () => { throw new Error('denied'); });
      denied.set('a', {verdict: 'good'});
      return [again.all, odd.get('a'), odd.get('b'), broken.get('a'), broken.isKept,
        denied.get('a'), denied.isKept, again.get('toString')];
    """
    nothing = {"picks": None, "verdict": ""}
    assert run_script(code) == [
        {"a": {"picks": [1, 3], "verdict": "bad"}, "b": {"picks": None, "verdict": "good"}},
        nothing,
        nothing,
        nothing,
        True,
        {"picks": None, "verdict": "good"},
        False,
        nothing,
    ]
