"""Experiments on real data, if there are any.

``S3NET_TEST_DATA`` names a folder with ``ph2`` and ``lung_ct``, each with ``images`` and ``masks``,
and perhaps ``bsds500``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from s3net_jax import cli

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("S3NET_TEST_DATA", "nowhere"))
SMALL = ["input.size=32", "model.channels=4", "model.blocks=1", "fit.steps=2"]

pytestmark = pytest.mark.skipif(
    not all((DATA / name / "images").is_dir() for name in ("ph2", "lung_ct")),
    reason="S3NET_TEST_DATA names no folder with ph2 and lung_ct",
)


def run(command: str, name: str, out: Path, *data: str) -> int:
    places = [word for item in data for word in ("--data", f"{item}={DATA / item}")]
    sets = [word for item in SMALL for word in ("--set", item)]
    file = str(ROOT / "experiments" / f"{name}.toml")
    return cli.main([command, file, "--out", str(out), "--limit", "2", *places, *sets])


def test_table_2(tmp_path: Path) -> None:
    assert run("ablate", "table2", tmp_path / "out", "ph2") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["evaluations"] == {"done": 4, "of": 4}
    recipe = next(r for r in summary["data"]["ph2"] if r["method"] == "classical recipe")
    assert recipe["protocols"]["blind"]["dsc"]["mean"] > 75


def test_table_1(tmp_path: Path) -> None:
    assert run("compare", "compare", tmp_path / "out", "ph2", "lung_ct") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert list(summary["data"]) == ["ph2", "lung_ct"]
    assert all(rows[0]["images"] == 2 for rows in summary["data"].values())


@pytest.mark.skipif(not (DATA / "bsds500/images").is_dir(), reason="there is no bsds500")
def test_natural_images(tmp_path: Path) -> None:
    assert run("compare", "methods_bsds", tmp_path / "out", "bsds500") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    rows = {row["method"]: row for row in summary["data"]["bsds500"]}
    means = {
        name: row["protocols"]["components"]["covering"]["mean"]
        for name, row in rows.items()
        if "protocols" in row
    }
    people = means.pop("one person against the others")
    assert 60 < people < 90 and max(means.values()) < people
