"""The examples run: notebooks cell by cell, scripts as a user starts them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
ENOUGH = 900  # seconds: an example that hangs ends; how fast it is does not matter here


def run_python(*words: str) -> str:
    """Run Python with the packages of this process in the folder of the examples."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=EXAMPLES,
        env=environment,
        capture_output=True,
        text=True,
        timeout=ENOUGH,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


# In a process of its own, because kernels warn and start threads as they please.
RUN_NOTEBOOK = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
errors = [o for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "error"]
print(len(notebook.cells), "cells,", len(errors), "errors")
"""


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
    for package in ("ipykernel", "matplotlib", "nbclient"):
        pytest.importorskip(package)
    if path.stem == "ct_volume":
        pytest.importorskip("nibabel")
    assert " 0 errors" in run_python("-c", RUN_NOTEBOOK, str(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_with_its_output_and_without_errors(path):
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert all(output["output_type"] != "error" for output in outputs)
    assert path.stat().st_size < 300_000  # pictures are small: they are part of every checkout


def test_notebooks_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["ct_volume", "seeds_and_weights", "skin_folder"]


@pytest.mark.slow
def test_many_devices_gives_the_result_of_one():
    printed = run_python("many_devices.py", "--devices", "2", "--images", "2", "--steps", "3")
    assert "2 fits on" in printed and "image 1: loss" in printed


@pytest.mark.slow
def test_benchmark_compares_with_pytorch():
    pytest.importorskip("torch")
    printed = run_python("benchmark_operator.py", "--size", "24", "--channels", "8")
    assert "s3net_kernels" in printed and "PyTorch" in printed and "ratio" in printed


@pytest.fixture(scope="module")
def synthetic():
    spec = importlib.util.spec_from_file_location("synthetic", EXAMPLES / "synthetic.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lesion_is_darker_than_skin(synthetic):
    picture, mask = synthetic.draw_lesion(seed=1, size=64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8 and mask.shape == (64, 64)
    assert 0.05 < mask.mean() < 0.4
    assert picture[mask].mean() < picture[~mask].mean() - 30
    again, _ = synthetic.draw_lesion(seed=1, size=64)
    np.testing.assert_array_equal(picture, again)


def test_volume_has_lungs_of_air(synthetic):
    values, lungs, spacing = synthetic.draw_ct_volume(slices=4, size=48)
    assert values.shape == lungs.shape == (4, 48, 48) and values.dtype == np.int16
    assert np.median(values[lungs]) < -700 < -200 < np.median(values[~lungs & (values > -500)])
    assert spacing == (5.0, 320 / 48, 320 / 48)
