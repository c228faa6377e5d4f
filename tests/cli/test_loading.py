"""The option --load: a custom method in the command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3net_jax.cli import main
from s3net_jax.presets import PRESETS
from tests.experiments.files import save_data, write
from tests.pictures import save_lesion

MODULE = """
import s3net_jax as s3
from tests.methods import smooth

def make():
    return s3.Config().replace(
        preset="total-variation", method={"name": "total-variation"}, model={"channels": 4},
        fit={"steps": 3}, input={"size": 16},
    )

s3.register_preset("total-variation", make)
"""

EXPERIMENT = """
kind = "comparison"
title = "A custom method and a baseline"
[[methods]]
preset = "total-variation"
[[methods]]
baseline = "k-means on RGB"
[data.skin]
images = "skin/images"
masks = "skin/masks"
"""


RUN = ["segment", "a.png", "-o", "out", "--load", "my_smooth", "--preset", "total-variation"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_smooth.py").write_text(MODULE)
    save_lesion(tmp_path / "a.png")
    yield tmp_path
    PRESETS.pop("total-variation", None)
    sys.modules.pop("my_smooth", None)


def test_a_module_registers_a_method_and_its_preset(folder: Path) -> None:
    run = [
        "segment",
        "a.png",
        "-o",
        "out",
        "--load",
        "my_smooth",
        "--preset",
        "total-variation",
        "--quiet",
    ]
    assert main(run) == 0
    assert (folder / "out/a.mask.png").exists()
    assert '"name": "total-variation"' in (folder / "out/run.json").read_text()
    assert main(run) == 0  # resumes: nothing to do


def test_info_lists_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--load", "my_smooth"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line]
    assert ["total-variation", "loss.weight_ce, method.weight_variation"] in lines
    assert ["total-variation", "Configuration of the method total-variation."] in lines
    assert main(["info", "--load", "my_smooth", "--preset", "total-variation"]) == 0
    out = capsys.readouterr().out
    assert "method.weight_variation" in out and "model.deform" not in out
    assert main(["info", "--load", "nowhere"]) == 2


@pytest.mark.slow
def test_experiments_compare_it_with_others(folder: Path) -> None:
    save_data("skin")
    run = ["compare", write(EXPERIMENT), "-o", "out", "--load", "my_smooth", "--quiet"]
    assert main(run) == 0
    table = (folder / "out/table.md").read_text()
    assert "| total-variation |" in table and "k-means" in table


@pytest.mark.slow
def test_workers_import_it_too(folder: Path) -> None:
    assert main([*RUN, "--engine", "processes", "--workers", "1"]) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no module 'nowhere'"),
        ("my_smooth.py", "run the command in the folder of the file, with --load my_smooth"),
        ("broken", "importing the module failed with ValueError: no luck"),
        ("needy", "No module named 'missing_thing'"),
    ],
)
def test_mistakes_are_named(
    folder: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text("raise ValueError('no luck')")
    (folder / "needy.py").write_text("import missing_thing")
    assert main(["segment", "a.png", "-o", "out", "--load", name]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()
