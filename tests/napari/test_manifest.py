"""The manifest: valid, in the package, and what it names exists."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.napari.sample import make_glands, make_spots

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "s3net_jax/napari"


def test_the_entry_point_names_the_manifest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entry_points = project["entry-points"]["napari.manifest"]
    assert entry_points == {"s3net-jax": "s3net_jax.napari:napari.yaml"}
    assert (FOLDER / "napari.yaml").read_text().splitlines()[1] == f"name: {project['name']}"


def test_every_command_exists() -> None:
    names = [
        line.split(":", 1)[1].strip()
        for line in (FOLDER / "napari.yaml").read_text().splitlines()
        if "python_name:" in line
    ]
    assert len(names) == 3
    for name in names:
        module, function = name.split(":")
        tree = ast.parse((FOLDER / f"{module.rpartition('.')[2]}.py").read_text())
        assert function in [getattr(node, "name", "") for node in tree.body]


@pytest.mark.filterwarnings("ignore")
def test_npe2_accepts_the_manifest() -> None:
    npe2: Any = pytest.importorskip("npe2", reason="the viewer needs the extra napari")
    manifest = npe2.PluginManifest.from_file(FOLDER / "napari.yaml")
    assert [sample.key for sample in manifest.contributions.sample_data] == ["glands", "spots"]
    (widget,) = manifest.contributions.widgets
    assert widget.display_name == "Segment an image"


@pytest.mark.parametrize("make", [make_glands, make_spots])
def test_samples_are_pictures(make: Any) -> None:
    ((values, options, kind),) = make()
    assert values.dtype == np.uint8 and values.shape[-1] == 3 and kind == "image"
    assert options["rgb"]
