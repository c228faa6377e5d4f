"""Test the combination of several fits into one result, for all ways to segment an image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.config import Config, ConfigError
from s3net_jax.io import from_array
from s3net_jax.masks import consensus
from s3net_jax.run import LocalEngine, segment_inputs
from s3net_jax.run.cases import TiledCase
from s3net_jax.run.fitter import Fitter
from s3net_jax.run.members import combine_seeds, join_members
from s3net_jax.run.outcome import Failed, Fitted, Piece
from tests.pictures import save_lesion

TINY = {"input": {"size": 32}, "model": {"channels": 6}, "fit": {"steps": 3}}
CONFIG = s3.preset("fast").replace(**TINY)
BEST = s3.preset("best").replace(**TINY).replace(fit={"members": 2})


def picture(tmp_path: Path, shape: tuple[int, int] = (48, 64)) -> tuple[Path, np.ndarray]:
    path = tmp_path / "in" / "lesion.png"
    return path, save_lesion(path, shape=shape)


def pixels(tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    path, truth = picture(tmp_path)
    return np.asarray(PilImage.open(path)), truth


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def run(out: Path, inputs: list[Path], config: Config, **more) -> list[dict]:
    engine = LocalEngine(config)
    segment_inputs(inputs, out, config, engine=engine, listener=QuietDisplay(), **more)
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_first_member_is_the_ordinary_fit(tmp_path) -> None:
    image = from_array(pixels(tmp_path)[0])
    single = Fitter(CONFIG).fit([Piece(image, 5)])[0]
    members = [Fitter(CONFIG).fit([Piece(image, 5, n)])[0] for n in range(3)]
    assert isinstance(single, Fitted) and all(isinstance(m, Fitted) for m in members)
    assert np.array_equal(single.labels, members[0].labels)  # pyright: ignore
    losses = {float(m.history["loss"][0]) for m in members}  # pyright: ignore
    assert len(losses) == 3


def test_without_proposals_the_members_agree(tmp_path) -> None:
    image = from_array(pixels(tmp_path)[0])
    several = CONFIG.replace(fit={"members": 3})
    together = Fitter(several).fit([Piece(image, 5)])[0]
    each = [Fitter(CONFIG).fit([Piece(image, 5, n)])[0] for n in range(3)]
    assert isinstance(together, Fitted) and together.target is None
    expected = consensus([m.labels for m in each if isinstance(m, Fitted)]).labels
    assert np.array_equal(together.labels, expected)


def test_best_finds_a_disc(tmp_path) -> None:
    image, truth = pixels(tmp_path)
    result = s3.segment(image, config=BEST)
    assert dice(result.mask, truth) > 0.95 and result.steps == 3
    assert np.array_equal(result.mask, np.isin(result.labels, result.target))
    again = s3.segment_batch([image, image[:, ::-1]], config=BEST, seeds=[0, 1])
    assert np.array_equal(again[0][0].labels, result.labels)
    for expected, row in zip((truth, truth[:, ::-1]), again, strict=True):
        assert all(dice(found.mask, expected) > 0.9 for found in row)


@pytest.mark.slow
def test_progress_covers_every_member(tmp_path) -> None:
    seen: list[int] = []
    s3.segment(pixels(tmp_path)[0], config=BEST, progress=lambda step, _: seen.append(step))
    assert seen.count(3) == 2


def test_the_command_gives_what_the_call_gives(tmp_path) -> None:
    path, _ = picture(tmp_path)
    record = run(tmp_path / "out", [path], BEST)[0]
    mask = np.asarray(PilImage.open(tmp_path / "out" / record["outputs"]["mask"])) > 0
    assert np.array_equal(mask, s3.segment(path, config=BEST).mask)
    assert "steps" not in record["outputs"]


def test_several_seeds_of_proposals(tmp_path) -> None:
    path, truth = picture(tmp_path)
    record = run(tmp_path / "out", [path], BEST, seeds=3)[0]
    folder = tmp_path / "out"
    mask = np.asarray(PilImage.open(folder / record["outputs"]["mask"])) > 0
    assert dice(mask, truth) > 0.95 and 0 < record["agreement"] <= 1
    masks = [s3.segment(path, config=BEST, seed=seed).mask for seed in range(3)]
    assert np.array_equal(mask, np.mean(masks, 0) > 0.5)


def test_films_are_of_the_member_that_was_taken(tmp_path) -> None:
    path, _ = picture(tmp_path)
    filmed = BEST.replace(fit={"record_labels": True})
    record = run(tmp_path / "out", [path], filmed)[0]
    assert (tmp_path / "out" / record["outputs"]["steps"]).exists()


def test_volumes(tmp_path) -> None:
    _, truth = picture(tmp_path)
    grey = np.stack([np.where(truth, 40, 220).astype(np.uint8)] * 3)
    slices = [PilImage.fromarray(page) for page in grey]
    path = tmp_path / "stack.tif"
    slices[0].save(path, save_all=True, append_images=slices[1:])
    record = run(tmp_path / "out", [path], BEST)[0]
    with PilImage.open(tmp_path / "out" / record["outputs"]["mask"]) as found:
        for page in range(3):
            found.seek(page)
            assert dice(np.asarray(found) > 0, truth) > 0.9


def test_tiles_blend_their_targets() -> None:
    labels = np.zeros((64, 96), np.int32)
    labels[20:44, 30:70] = 1
    image = np.repeat(np.where(labels, 60, 200).astype(np.uint8)[..., None], 3, -1)
    case = TiledCase(from_array(image), BEST.replace(input={"tile": 48}))
    maps = [labels[case._tiling[n]] for n in range(len(case))]
    whole = case.join(maps, [(1,) if part.any() else () for part in maps])
    assert np.array_equal(whole.mask, labels == 1)
    assert np.array_equal(whole.mask, np.isin(whole.labels, whole.target))


def test_failing_members_are_reported() -> None:
    labels = np.zeros((16, 16), np.int32)
    good = Fitted(labels, {"loss": np.ones(1)}, 1, None, 0.5)
    image = from_array(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8))
    several = CONFIG.replace(fit={"members": 3})
    joined = join_members([Failed("ran out of memory."), good, good], image, several)
    assert isinstance(joined, Fitted) and joined.seconds == 1.0
    assert joined.notes == ("1 of 3 fits failed (ran out of memory).",)
    lost = join_members([Failed("a."), Failed("b.")], image, several)
    assert isinstance(lost, Failed) and lost.reason == "a."


def test_seeds_combine_to_the_majority_of_targets() -> None:
    maps = [np.zeros((8, 8), np.int32) for _ in range(3)]
    for n, one in enumerate(maps):
        one[2:5, n : n + 4] = 1
    fits = [Fitted(one, {}, 1, None, 0, (), (1,)) for one in maps]
    labels, target, share = combine_seeds(fits)
    assert target is not None and share is not None
    assert np.array_equal(np.isin(labels, target), np.mean(maps, 0) > 0.5)
    assert combine_seeds(fits[:1]) == (fits[0].labels, (1,), None)


def test_half_of_the_fits_are_no_majority() -> None:
    """A pixel needs three votes of four fits; a fit without a target has no vote."""
    maps = [np.zeros((8, 8), np.int32) for _ in range(4)]
    for n, one in enumerate(maps):
        one[2:6, : 3 + n] = 1
    fits = [Fitted(one, {}, 1, None, 0, (), (1,)) for one in maps]
    labels, target, _ = combine_seeds(fits)
    assert target is not None
    expected = np.zeros((8, 8), bool)
    expected[2:6, :4] = True  # two of four fits have the fifth column
    assert np.array_equal(np.isin(labels, target), expected)
    more = [*fits, Fitted(maps[2], {}, 1, None, 0, (), (1,))]
    labels, target, _ = combine_seeds(more)
    assert target is not None and np.isin(labels, target)[2, 4], "three of five are one"
    undecided = Fitted(maps[0], {}, 1, None, 0, (), None)
    labels, target, _ = combine_seeds([undecided, *fits[1:]])
    assert target is not None
    expected[2:6, :5] = True  # now two of three have it
    assert np.array_equal(np.isin(labels, target), expected)
    assert combine_seeds([undecided, undecided])[1] is None


@pytest.mark.slow
def test_a_rule_of_the_users_own_takes_a_cluster_of_the_result(tmp_path) -> None:
    image, truth = pixels(tmp_path)
    result = s3.segment(image, config=BEST.replace(segment={"target": "dark"}))
    assert dice(result.mask, truth) > 0.9
    point = s3.segment(image, config=BEST.replace(segment={"target": "point:32,24"}))
    assert point.mask[24, 32]


@pytest.mark.parametrize(
    "section, field, value, words",
    [
        ("fit", "members", 0, "1..256"),
        ("segment", "boundary_level", 1.0, "between 0 and 1"),
        ("segment", "boundary_colors", (0, 0, 0), "nor all zero"),
        ("segment", "choice", "best", "can't be 'best'"),
    ],
)
def test_values_it_cannot_take(section, field, value, words) -> None:
    with pytest.raises(ConfigError, match=words):
        CONFIG.replace(**{section: {field: value}})
