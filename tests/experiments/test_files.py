"""Experiment files are parsed, and their mistakes are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3net_jax import cli
from s3net_jax.config import ConfigError
from s3net_jax.experiments import read_grid, read_tuning, relocate
from s3net_jax.experiments.spec import KINDS
from tests.experiments.files import ABLATION, COMPARISON, TUNING, write

FILES = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def read(path: Path) -> None:
    kind = path.read_text().split('kind = "')[1].split('"')[0]
    if kind == "tuning":
        read_tuning(path)
    else:
        read_grid(path, kind)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_of_the_repository(path: Path) -> None:
    """They can be read, and say how they are run, what they cost and what is expected."""
    read(path)
    text = path.read_text()
    head = text[: text.index("\n\n") + 1] if "\n\n" in text else text
    kind = text.split('kind = "')[1].split('"')[0]
    assert f"s3net {KINDS[kind]} experiments/{path.name} --out" in head
    comment = text[: text.index("kind =")]
    assert "# Cost:" in comment and "Expected:" in comment and "2 CPU" in comment


def test_an_ablation() -> None:
    grid = read_grid(Path(write(ABLATION)), "ablation")
    first, second = grid.methods
    assert first.config is not None and second.config is not None
    assert first.config.loss.weight_spatial == 0 and second.config.loss.weight_spatial > 0
    assert first.config.input.size == second.config.input.size == 32
    assert first.paper == {"skin": {"dsc": 86.4, "hm": 22.2}} and first.folder == "no-L_S"
    assert grid.reference == "both" and grid.data[0].images == Path("skin/images")
    other = read_grid(
        Path("experiment.toml"), "ablation", overrides={"fit": {"steps": 2}}, seed=7, seeds=3
    )
    assert other.seed == 7 and [m.seeds for m in other.methods] == [3, 3]
    assert all(m.config is not None and m.config.fit.steps == 2 for m in other.methods)


def test_a_comparison() -> None:
    grid = read_grid(Path(write(COMPARISON)), "comparison", seeds=5)
    names = ["s3net fast", "bright", "k-means on RGB, K=3", "MS-Former"]
    assert [m.name for m in grid.methods] == names and grid.reference == "s3net fast"
    assert [m.seeds for m in grid.methods] == [5, 2, 1, 1], "its own number of seeds stays"


SWAPS = [
    (ABLATION, 'kind = "ablation"', 'kind = "ablatio"', "Did you mean ablation"),
    (ABLATION, 'kind = "ablation"', "", "kind is missing: add kind"),
    (ABLATION, 'kind = "ablation"', 'kind = "tuning"', "for another command: run s3net tune"),
    (ABLATION, 'title = "terms"', "title = 3", "title is 3: write text in quotes"),
    (ABLATION, '"fast"', '"fats"', "There is no preset 'fats'. Did you mean fast"),
    (ABLATION, '"fast"', "fast", "is not valid TOML"),
    (ABLATION, 'preset = "fast"', 'preset = "fast"\nsede = 3', "no key 'sede' here. Did you mean"),
    (ABLATION, 'preset = "fast"', 'preset = "fast"\nseed = -1', "seed is -1"),
    (ABLATION, 'preset = "fast"', 'preset = "fast"\nseeds = true', "seeds is True"),
    (ABLATION, "fit.steps", "fit.step", r"\[set\]|set: There is no field 'fit.step'"),
    (ABLATION, "fit.steps = 3", "fit.steps = 0", "fit.steps must be at least 1"),
    (ABLATION, "[set]", '[set]\npreset = "x"', "set can't change the preset"),
    (ABLATION, 'name = "both"', 'nam = "both"', r"\[\[variants\]\] number 2: name is missing"),
    (ABLATION, 'name = "both"', 'name = "no L_S"', "called 'no L_S'"),
    (ABLATION, 'name = "both"', 'name = "no, L_S"', "folders of variants are called 'no-l_s'"),
    (ABLATION, '"both"\n\n[set]', '"none"\n\n[set]', "reference 'none' is not a method"),
    (ABLATION, "paper.skin", "paper.skim", "there is no data set 'skim'. Did you mean skin"),
    (ABLATION, "hm = 22.2", "hn = 22.2", "number 1, paper.skin: there is no metric 'hn'"),
    (ABLATION, "hm = 22.2", "hm = nan", "hm is nan: it must be a finite number"),
    (ABLATION, "[data.skin]", "[data.skin]\nlimit = 2.5", "limit is 2.5: write a whole number"),
    (ABLATION, "[data.skin]", '[data.skin]\ndataset = "ph3"', "no data set 'ph3'. Did you mean"),
    (ABLATION, 'masks = "skin/masks"', "", r"\[data.skin\]: masks is missing"),
    (ABLATION, "[data.skin]", '[data."../x"]', "letters, digits"),
    (ABLATION, "[data.skin]", "[date.skin]", r"no \[data.NAME\].* Is 'date' a misspelling"),
    (ABLATION, "[[variants]]", "[[variant]]", r"no \[\[variants\]\].* Is 'variant' a misspelling"),
    (
        ABLATION,
        'preset = "fast"',
        'presett = "fast"',
        "preset is missing.* Is 'presett' a",
    ),
    (TUNING, "[grid]", "[gird]", r"no \[grid\]: add one .* Is 'gird' a misspelling"),
    (COMPARISON, "clusters = 3", "clusters = 1", "clusters must be at least 2, got 1"),
    (COMPARISON, "k-means on", "k-mean on", "Did you mean k-means on RGB"),
    (COMPARISON, "clusters = 3", 'preset = "fast"', "both a preset and a baseline"),
    (COMPARISON, 'name = "bright"', 'name = "whole image"', "is the name of a baseline"),
    (ABLATION, "fit.steps = 3", 'segment.target = "drak"', r"toml: set: There is no target 'drak'"),
    (
        ABLATION,
        "fit.steps = 3",
        'input.window = "lun"',
        "set: .* no window 'lun'. Did you mean lung",
    ),
    (ABLATION, "fit.steps = 3", "fit.learning_rate = true", "learning_rate can't be True"),
    (
        COMPARISON,
        '"bright" }',
        '"bride" }',
        r"\[\[methods\]\] number 2: set: There is no target 'b",
    ),
    (TUNING, "fit.steps = 3", 'segment.target = "drak"', "set: There is no target 'drak'"),
    (TUNING, "fit.steps = 3", "input.window = 7", "set: There is no window '7'"),
    (COMPARISON, "paper.skin = { dsc = 86.0, hm = 23.1, xor = 25.9 }", "", "needs a preset, a b"),
    (COMPARISON, "[[methods]]", "[[method]]", r"there is no \[\[methods\]\]"),
    (TUNING, "input.size = 32", "input.tile = 64", "input.tile is 64: set it to 0"),
    (
        TUNING,
        'preset = "paper"',
        'preset = "paper"\nseed = 4294967295\nseeds = 2',
        "last of 2 seeds",
    ),
    (TUNING, "[0, 0.3]", "[0, 0]", "contains a value twice"),
    (TUNING, "[0, 0.3]", '"0"', "write a list of numbers"),
    (TUNING, "[0, 0.3]", "[]", "write a list of numbers"),
    (TUNING, "[0.1, 0.36, 1e30]", "[0]", "fit.learning_rate must be positive, got 0.0"),
    (TUNING, "fit.learning_rate", "fit.learning_rat", "'learning_rat' can't be varied here"),
    (TUNING, "fit.learning_rate", "model.channels", r"\[grid\]: there is no key 'model'"),
    (
        TUNING,
        'preset = "paper"',
        'preset = "paper"\nsteps = [4]',
        "whole numbers from 1 to",
    ),
]


@pytest.mark.parametrize(("text", "old", "new", "sentence"), SWAPS)
def test_one_sentence_for_each_mistake(text: str, old: str, new: str, sentence: str) -> None:
    assert old in text
    path = Path(write(text.replace(old, new)))
    kind = {ABLATION: "ablation", COMPARISON: "comparison"}.get(text, "")
    with pytest.raises(ConfigError, match=sentence) as raised:
        read_grid(path, kind) if kind else read_tuning(path)
    assert str(path) in str(raised.value)


def test_places_of_data() -> None:
    grid = read_grid(Path(write(COMPARISON)), "comparison")
    for folder in ("there/images", "there/masks", "empty"):
        Path(folder).mkdir(parents=True)
    skin, other = relocate(grid.data, ["skin=there"], 4)
    assert skin.masks == Path("there/masks") and other.images == Path("other/images")
    assert skin.limit == other.limit == 4
    for text, sentence in (
        ("there", "write --data NAME=FOLDER"),
        ("skim=there", "no data set 'skim'. Did you mean skin"),
        ("skin=empty", "does not contain the folders images and masks"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            relocate(grid.data, [text])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ablate", "--out", "o"], "No experiment file is given"),
        (["tune", "experiment.toml"], "--out DIR"),
        (["compare", "nothing.toml", "--out", "o"], "nothing.toml can't be read: no such file"),
        (["compare", "experiment.toml", "--out", "o"], "another command: run s3net ablate"),
        (["ablate", "experiment.toml", "--out", "o"], "Set its folder with --data skin=FOLDER."),
        (["ablate", "experiment.toml", "--out", "o", "--seed", "x"], "The seed 'x'"),
        (["ablate", "experiment.toml", "--out", "o", "--set", "fit.step=3"], "no field 'fit.step'"),
        (["ablate", "experiment.toml", "--out", "o", "--set", "segment.target=x"], "no target 'x'"),
        (["tune", "experiment.toml", "--out", "o", "--engine", "ray"], "no option --engine"),
    ],
)
def test_commands_that_cannot_be_carried_out(capsys, arguments: list[str], sentence: str) -> None:
    write(ABLATION)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and len(error.splitlines()) == 1
