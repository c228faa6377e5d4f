"""What is published stays what is computed: presets, and the configurations behind the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3net_jax.config import Config
from s3net_jax.experiments import read_grid
from s3net_jax.presets import PRESETS, preset

ROOT = Path(__file__).parents[1]
_OTHERS = ("choice", "confidence", "volumes")  # results of no experiment file
SUMMARIES = sorted(p for p in (ROOT / "docs/quality").glob("*.json") if p.stem not in _OTHERS)

# Results carry these. A preset that changes gets another digest, and its figures are measured
# again.
DIGESTS = {
    "best": "c16617e4b03e3f85",
    "dfc": "013970eee2d09654",
    "deepcluster": "235ccad10fc5b78c",
    "deepcluster-image": "0d4f2d03fc968e58",
    "fast": "ebbc0b5d9018dc80",
    "iic": "8a3436762e3a2c63",
    "iic-image": "87bbc30fcd5ffb78",
    "ms-former": "b663e4394bec56cf",
    "paper": "19481024e2031ce3",
    "paper-lung": "4d9e997bc3425a0f",
    "robust": "5f05536e6645769c",
    "released": "b955e043ceb1267c",
    "sgscn": "c72289612ac9e4f0",
    "slic-backprop": "fb1bdc1b5d71059e",
}


def test_presets_are_those_of_the_published_results():
    assert {name: preset(name).digest for name in PRESETS} == DIGESTS


def test_volumes_were_computed_with_the_preset_of_today():
    content = json.loads((ROOT / "docs/quality/volumes.json").read_text())
    shared = preset(content["preset"]).replace(fit={"volume": "shared"})
    assert content["config_digest"] == shared.digest


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_tables_were_computed_with_what_the_experiment_files_say(path):
    summary = json.loads(path.read_text())
    grid = read_grid(ROOT / f"experiments/{path.stem}.toml", summary["kind"])
    published = summary["methods"]
    today = {m.name: m.config for m in grid.methods if m.config is not None}
    # A field that did not exist at the time must have its default today.
    then = {name: Config().replace(**method["config"]) for name, method in published.items()}
    assert then == today
    assert {name: method["seeds"] for name, method in published.items()} == {
        method.name: method.seeds for method in grid.methods if method.config is not None
    }
