"""Ablations and comparisons from the command line to their tables."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from s3net_jax import cli
from s3net_jax.baselines import BASELINES
from s3net_jax.evaluate import scores
from tests.experiments.files import ABLATION, COMPARISON, TUNING, save_data, write
from tests.fakes import fit_brightness, install_fit, resample_less


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    resample_less(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    save_data("skin")


def run(command: str, text: str, *more: str, out: str = "out") -> int:
    return cli.main([command, write(text), "--out", out, *more])


def summary() -> dict[str, Any]:
    return json.loads(Path("out/summary.json").read_text())


def rows() -> list[dict[str, str]]:
    with open("out/table.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_an_ablation(capsys) -> None:
    assert run("ablate", ABLATION) == 0
    text = capsys.readouterr().out
    assert "both on skin (2 of 2)" in text and "The report is out/report.html." in text
    found = summary()
    assert found["evaluations"] == {"done": 2, "of": 2} and found["failed"] == 0
    first, second, *others = found["data"]["skin"]
    assert [first["method"], second["method"]] == ["no L_S", "both"]
    assert [row["method"] for row in others] == list(BASELINES), "they stand in every table"
    assert first["paper"] == {"dsc": 86.4, "hm": 22.2} and first["images"] == 2
    assert second["difference"] is None and first["difference"]["mean"] == 0
    assert first["protocols"]["blind"]["dsc"]["mean"] > 85
    table = rows()
    assert len(table) == 4 * (2 + len(BASELINES))
    assert table[0]["protocol"] == "blind" and table[0]["paper_dsc"] == "86.4"
    assert float(table[0]["dsc"]) == pytest.approx(
        first["protocols"]["blind"]["dsc"]["mean"], abs=1e-3
    )
    markdown = Path("out/table.md").read_text()
    assert (
        "| no L_S |" in markdown
        and "| 86.4 | 22.2 |" in markdown
        and "Not finished" not in markdown
    )
    page = Path("out/report.html").read_text()
    assert 'href="skin/no-L_S/report.html"' in page and Path("out/skin/no-L_S/report.html").exists()
    assert not re.search(r'(src|href)="(https?:)?//', page), "nothing is loaded from elsewhere"
    assert "classical recipe" in page and "86.4" in page
    single = json.loads(Path("out/skin/both/summary.json").read_text())
    assert list(single["methods"]) == ["both", *BASELINES], "each is an evaluation of its own"


@pytest.mark.parametrize(
    ("command", "text"), [("ablate", ABLATION), ("compare", COMPARISON), ("tune", TUNING)]
)
def test_wrong_paths_are_found_before_anything_is_written(capsys, command: str, text: str) -> None:
    assert cli.main([command, "gone.toml", "--out", "out"]) == 2
    assert "gone.toml" in capsys.readouterr().err
    assert run(command, text, "--data", "skin=gone", "--data", "other=skin") == 2
    assert "gone" in capsys.readouterr().err and not Path("out").exists()


@pytest.mark.slow
def test_repeats_are_averaged(capsys) -> None:
    assert run("ablate", ABLATION, "--repeats", "2", "--seeds", "3") == 0
    assert "both on skin, seed 3 (4 of 4)" in capsys.readouterr().out
    found = summary()
    assert found["evaluations"] == {"done": 4, "of": 4} and found["repeats"] == 2
    row = found["data"]["skin"][1]
    assert row["report"] == "skin/both/seed-0" and list(row["by_seed"]) == ["0", "3"]
    runs = [
        json.loads(Path(f"out/skin/both/seed-{seed}/summary.json").read_text()) for seed in (0, 3)
    ]
    means = [run["methods"]["both"]["protocols"]["blind"]["dsc"]["mean"] for run in runs]
    assert list(row["by_seed"].values()) == pytest.approx(means, abs=1e-3)
    assert row["protocols"]["blind"]["dsc"]["mean"] == pytest.approx(sum(means) / 2, abs=1e-3)
    line = next(line for line in rows() if line["method"] == "both")
    assert float(line["lowest_seed"]) == pytest.approx(min(means), abs=1e-3)
    assert "each seed" in Path("out/table.md").read_text()
    assert "2 evaluations of each method" in Path("out/report.html").read_text()

    assert run("ablate", ABLATION, "--repeats", "2", "--seeds", "3") == 0, "it resumes"
    assert "both: 0 done, 2 kept" in capsys.readouterr().out
    assert summary()["data"]["skin"][1]["by_seed"] == row["by_seed"]
    assert run("ablate", ABLATION, "--seeds", "3") == 2
    assert "this experiment with other settings" in capsys.readouterr().err


def test_first_images_are_skipped(capsys) -> None:
    text = ABLATION.replace("[data.skin]", "[data.skin]\nskip = 1")
    assert run("ablate", text) == 0
    assert summary()["data"]["skin"][0]["images"] == 1
    assert run("ablate", text.replace("skip = 1", "skip = 2"), out="none") == 2
    assert "data.skin.skip=2 leaves none of the 2 images" in capsys.readouterr().err


@pytest.mark.slow
def test_a_comparison(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    save_data("elsewhere", "xyz")
    calls: list[int] = []
    whole = scores.score_baselines

    def count_calls(pairs: Any, *more: Any) -> Any:
        calls.append(len(pairs))
        return whole(pairs, *more)

    monkeypatch.setattr("s3net_jax.experiments.run.score_baselines", count_calls)
    monkeypatch.setattr("s3net_jax.evaluate.run.score_baselines", count_calls)
    assert run("compare", COMPARISON, "--data", "other=elsewhere") == 0
    assert calls == [2, 1], "baselines once for each data set, of the images within its limit"
    found = summary()
    fast, bright, three, reported, *others = found["data"]["skin"]
    assert "images" not in reported and reported["paper"]["hm"] == 23.1
    assert three["method"] == "k-means on RGB, K=3" and three["difference"]["count"] == 2
    assert bright["difference"]["mean"] > 0, "the reference is the better one"
    assert len(others) == len(BASELINES) and fast["report"] == "skin/s3net-fast"
    assert found["methods"]["bright"]["seeds"] == 2
    reported_rows = [row for row in rows() if row["method"] == "MS-Former"]
    assert [row["paper_xor"] for row in reported_rows] == ["25.9", ""]
    assert found["data"]["other"][0]["images"] == 1
    assert run("compare", COMPARISON, "--data", "other=elsewhere", "--limit", "2") == 0
    assert "1 done, 1 kept" in capsys.readouterr().out, "further images are added"
    assert summary()["data"]["other"][0]["images"] == 2


@pytest.mark.slow
def test_a_stopped_experiment_resumes(capsys, monkeypatch) -> None:
    fits = 0

    def stop(*arguments: Any, **more: Any) -> Any:
        nonlocal fits
        fits += 1
        if fits == 4:
            raise KeyboardInterrupt
        return fit_brightness(*arguments, **more)

    install_fit(monkeypatch, stop)
    assert run("ablate", ABLATION, "--batch", "1") == 130
    found = summary()
    assert found["evaluations"] == {"done": 1, "of": 2}
    assert "Not finished: 1 of 2" in Path("out/table.md").read_text()
    assert found["data"]["skin"][0]["difference"] is None, "the reference is not there yet"
    capsys.readouterr()
    assert run("ablate", ABLATION, "--batch", "1") == 0
    assert fits == 5, "three were done"
    out = capsys.readouterr().out
    assert "0 done, 2 kept" in out and "1 done, 1 kept" in out
    assert summary()["evaluations"] == {"done": 2, "of": 2}


@pytest.mark.slow
def test_folders_of_others_are_refused(capsys) -> None:
    assert run("ablate", ABLATION) == 0
    added = ABLATION.replace("[data.skin]", '[[variants]]\nname = "dark"\n[data.skin]')
    assert run("ablate", added) == 0, "an experiment may grow"
    assert [row["method"] for row in summary()["data"]["skin"]][:3] == ["no L_S", "both", "dark"]
    capsys.readouterr()
    for text, more, sentence in (
        (
            ABLATION.replace('"terms"', '"others"'),
            [],
            "out contains another experiment ('terms'): ",
        ),
        (ABLATION, ["--seed", "1"], "out contains this experiment with other settings: "),
        (ABLATION, ["--set", "fit.steps=2"], "with other settings of 'no L_S': "),
    ):
        assert run("ablate", text, *more) == 2
        error = capsys.readouterr().err
        assert sentence in error and "--overwrite" in error and len(error.splitlines()) == 1
    assert run("ablate", ABLATION, "--set", "fit.steps=2", "--overwrite") == 0
    capsys.readouterr()
    Path("else").mkdir()
    Path("else/summary.json").touch()
    assert run("ablate", ABLATION, out="else") == 2
    assert "else/summary.json was not written by an experiment" in capsys.readouterr().err
    Path("else/experiment.json").write_text("[]")
    assert run("ablate", ABLATION, out="else") == 2
    assert "was not written by an experiment of this tool" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_printed(capsys) -> None:
    assert run("ablate", ABLATION, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert run("ablate", ABLATION, "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["part", *["part", "skipped", "skipped", "part"] * 2, "tables"]
    scores = {"reference": "both", "data": summary()["data"]}
    assert events[-1] == {"event": "tables", "out": "out", "failed": 0, **scores}


@pytest.mark.slow
def test_an_input_that_fails(capsys, monkeypatch) -> None:
    def fail(key: Any, image: Any, config: Any, **more: Any) -> Any:
        if config.loss.weight_spatial == 0:
            raise ValueError("broken")
        return fit_brightness(key, image, config, **more)

    install_fit(monkeypatch, fail)
    assert run("ablate", ABLATION) == 1
    found = summary()
    assert found["failed"] == 2 and "images" not in found["data"]["skin"][0]
    assert "2 inputs failed" in Path("out/report.html").read_text()


def test_every_bad_ground_truth_is_reported_before_the_first_fit(capsys) -> None:
    save_data("other")
    for path in ("skin/masks/a.png", "other/masks/a.png"):
        Path(path).write_bytes(b"no picture")
    assert run("compare", COMPARISON) == 1
    error = capsys.readouterr().err
    assert "skin/masks/a.png can't be read as a ground truth" in error
    assert "other/masks/a.png can't be read" in error and not Path("out").exists()
