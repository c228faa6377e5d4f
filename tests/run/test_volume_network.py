"""One network for all slices of a volume."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax import fitting
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.errors import DivergedError
from s3net_jax.masks import spread
from s3net_jax.run import ProgressView, open_volume, segment_volume_case, volume_network
from s3net_jax.run.engines import ProcessEngine
from s3net_jax.run.network import NetworkParams
from s3net_jax.run.runner import segment_inputs
from s3net_jax.run.training import TrainingSet
from tests.cli.calling import s3net
from tests.fakes import install_training
from tests.pictures import save_lesion
from tests.run.small import lines, run
from tests.volumes import ball, save_nifti

FAST = s3.preset("fast").replace(input={"size": 32}, fit={"steps": 2, "volume": "shared"})
BEST = s3.preset("best").replace(
    input={"size": 32}, fit={"steps": 2, "members": 2, "volume": "shared"}
)
segment: Callable[..., s3.VolumeSegmentation] = s3.segment_volume


class Watcher(QuietDisplay):
    """Keep the phases that a run shows."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int, int | None]] = []

    def show_phase(self, name: str, done: int = 0, total: int | None = None) -> None:
        if name == "training":
            self.phases.append((name, done, total))


def make_ball() -> tuple[np.ndarray, np.ndarray]:
    """A dark ball in bright slices, (slices, H, W), and its voxels."""
    values, truth = ball((24, 20, 12))
    return np.moveaxis(values, 2, 0), np.moveaxis(truth, 2, 0)


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def is_common(labels: np.ndarray, truth: np.ndarray) -> bool:
    """Whether the truth has the same label in nearly all voxels: resampling blurs its edge."""
    counts = np.bincount(labels[truth])
    return counts.max() > 0.97 * counts.sum()


def save_ball(tmp_path: Path) -> tuple[Path, np.ndarray]:
    pytest.importorskip("nibabel")
    values, truth = ball((24, 20, 12))
    save_nifti(tmp_path / "scan.nii.gz", values, np.diag([1.0, 1, 3, 1]))
    return tmp_path / "scan.nii.gz", truth


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace trainings by fakes, and record how each was called."""
    install_training(monkeypatch)
    found: list[dict[str, Any]] = []
    fit = fitting.fit_dataset

    def watch(key: Any, images: Any, config: s3.Config, **options: Any) -> Any:
        found.append({"images": len(images), "rate": config.fit.learning_rate, **options})
        return fit(key, images, config, **options)

    monkeypatch.setattr(fitting, "fit_dataset", watch)
    return found


@pytest.mark.parametrize("config", [FAST, BEST], ids=["fast", "best"])
def test_one_network_labels_all_slices(trainings: list[dict[str, Any]], config: s3.Config) -> None:
    values, truth = make_ball()
    result = segment(values, config=config)
    assert is_common(result.labels, truth) and not result.notes
    assert overlap(result.mask, truth) > 0.9
    assert len(trainings) == config.fit.members
    assert all(one["images"] == 8 and one["batch"] == 8 for one in trainings)
    assert all(one["keep_steps"] == (config is BEST) for one in trainings)
    assert all(one["progress"] is None for one in trainings), "a program that JAX can cache"


def test_the_argument_sets_the_mode(trainings: list[dict[str, Any]]) -> None:
    values, _ = make_ball()
    plain = FAST.replace(fit={"volume": "slices"})
    result = segment(values, config=plain, one_network=True)
    np.testing.assert_array_equal(result.labels, segment(values, config=FAST).labels)
    assert len(trainings) == 2
    with pytest.raises(TypeError, match="one_network is 'yes': give True, False or None"):
        segment(values, config=FAST, one_network="yes")


def test_a_command_and_python_agree(tmp_path: Path, trainings: list[dict[str, Any]]) -> None:
    path, _ = save_ball(tmp_path)
    save_lesion(tmp_path / "picture.png", shape=(40, 48))
    watcher = Watcher()
    config = FAST.replace(fit={"slices": 5})
    run(tmp_path, path, config=config, listener=watcher)
    (record,) = lines(tmp_path)
    assert record["config"] == config.digest and record["steps"] == 0
    (shared,) = record["shared"]
    assert shared["slices"] == [2, 4, 7, 9, 11] and shared["member"] == 0 and shared["steps"] == 2
    assert watcher.phases == [("training", 0, 1), ("training", 1, 1)]
    found = segment(path, config=config)
    written = read(tmp_path / "out/scan.labels.nii.gz")
    np.testing.assert_array_equal(found.labels, written)
    assert len(trainings) == 2
    run(tmp_path, path, config=config)
    assert len(trainings) == 2, "a finished volume is not trained for again"


def read(path: Path) -> np.ndarray:
    import nibabel

    return np.asarray(nibabel.load(path).dataobj)  # pyright: ignore


def test_labels_stay_common_over_seeds(tmp_path: Path, trainings: list[dict[str, Any]]) -> None:
    path, truth = save_ball(tmp_path)
    run(tmp_path, path, config=FAST, seeds=3)
    (record,) = lines(tmp_path)
    assert [one["seed"] for one in record["shared"]] == [0, 1, 2] and record["agreement"] == 1
    labels = read(tmp_path / "out/scan.labels.nii.gz")
    assert is_common(labels, truth) and len(trainings) == 3


def test_slices_of_one_value(trainings: list[dict[str, Any]]) -> None:
    values, _ = make_ball()
    values[:9] = 60
    result = segment(values, config=FAST)
    assert trainings[0]["images"] == 3 and not result.mask[:9].any() and result.mask[9:].any()
    assert "9 of the 12 slices have only one value" in result.notes[0]


def test_a_given_network_has_common_labels(trainings: list[dict[str, Any]]) -> None:
    values, truth = make_ball()
    result = segment(values, config=FAST, model={"mean": 0.0})
    assert not trainings and is_common(result.labels, truth)


def test_a_diverging_training_is_repeated_gently(trainings: list[dict[str, Any]]) -> None:
    values, _ = make_ball()
    result = segment(values, config=BEST.replace(fit={"learning_rate": 2}))
    assert [one["rate"] for one in trainings] == [2, 0.5] * 2
    assert "diverged with fit.learning_rate=2; this is the result with 0.5" in result.notes[0]
    with pytest.raises(DivergedError, match=r"The training diverged: lower fit\.learning_rate"):
        segment(values, config=BEST.replace(fit={"learning_rate": 9}))


def test_a_volume_that_fails_does_not_stop_the_run(
    tmp_path: Path, trainings: list[dict[str, Any]]
) -> None:
    path, _ = save_ball(tmp_path)
    save_lesion(tmp_path / "z.png", shape=(40, 48))
    config = FAST.replace(fit={"learning_rate": 9})
    summary = run(tmp_path, path, tmp_path / "missing.png", config=config)
    assert summary.failed == 2
    assert any("scan.nii.gz" in text and "diverged" in text for text in summary.failures)


@pytest.mark.parametrize("target", ["dark", "all", "point:10,12"])
def test_rules_choose_among_the_same_labels(trainings: list[dict[str, Any]], target: str) -> None:
    values, truth = make_ball()
    found = segment(values, config=BEST, target=target)
    np.testing.assert_array_equal(found.labels, segment(values, config=BEST).labels)
    assert overlap(found.mask, truth) > 0.9


def test_retarget_chooses_in_3d(tmp_path: Path, trainings: list[dict[str, Any]]) -> None:
    path, truth = save_ball(tmp_path)
    run(tmp_path, path, config=FAST.replace(segment={"target": "all"}))
    out = str(tmp_path / "out")
    assert s3net_quiet("retarget", out, "--target", "dark") == 0
    mask = read(tmp_path / "out/scan.mask.nii.gz") > 0
    assert overlap(mask, truth) > 0.95
    assert s3net_quiet("retarget", out, "--target", "label:0") == 0


def s3net_quiet(*words: str) -> int:
    from s3net_jax.cli.command import main

    return main([*words, "--quiet"])


def test_the_command_has_an_option(
    tmp_path: Path, trainings: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = save_ball(tmp_path)
    out = ["-o", str(tmp_path / "out"), "--preset", "fast", "--size", "32", "--one-network"]
    code, _, err = s3net(capsys, "segment", str(path), *out)
    assert code == 0 and len(trainings) == 1, err
    assert lines(tmp_path)[0]["shared"]
    code, _, err = s3net(
        capsys, "segment", str(path), "-o", str(tmp_path / "b"), "--set", "fit.slices=3",
        "--preset", "fast", "--size", "32", "--set", "fit.volume=none",
    )  # fmt: skip
    assert code == 2 and re.search("fit.volume can't be 'none'", err)


def test_large_networks_see_fewer_slices_at_once(
    trainings: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    values, _ = make_ball()
    monkeypatch.setattr(volume_network, "_VALUES", 3 * 32 * 32 * 24 + 5)
    segment(values, config=FAST)
    assert trainings[0]["batch"] == 3


def test_spread_slices() -> None:
    assert spread(list(range(300)), 8) == [18, 56, 93, 131, 168, 206, 243, 281]
    assert spread([4, 7], 8) == [4, 7] and spread([4, 7, 9], 1) == [7]


def test_the_network_whose_cluster_is_the_target_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    values, truth = make_ball()
    case = open_volume(values, None, BEST)
    numbers = list(range(12))
    slices = [piece for n in numbers if (piece := case.piece(n)) is not None]
    rows, columns = (np.arange(32) * side // 32 for side in truth.shape[1:])
    ball = truth[:, rows][:, :, columns].astype(np.int32)
    parted = np.where((ball > 0) & (np.arange(32) < 16), 2, ball)  # the union is as good
    shares = {0: parted, 1: parted, 2: ball, 3: ball}
    monkeypatch.setattr(volume_network, "_label", lambda params, *_: shares[int(params["map"])])
    members = [(0, {"map": np.array([0, 1])}), (1, {"map": np.array([2, 3])})]
    best = volume_network._choose_network(case, BEST, numbers, slices, members)
    assert (best.member, best.step) == (1, 1)


def test_a_function_gets_every_step_and_a_bar_every_network(
    trainings: list[dict[str, Any]],
) -> None:
    values, _ = make_ball()
    steps: list[int] = []
    heard = segment(values, config=BEST, progress=lambda step, record: steps.append(step))
    assert steps == [1, 2, 1, 2] and all(one["progress"] is not None for one in trainings)
    trainings.clear()
    seen: list[tuple[int, str]] = []
    totals: list[int] = []

    @contextlib.contextmanager
    def open_bar(total: int) -> Iterator[Any]:
        totals.append(total)
        yield lambda done, state: seen.append((done, state))

    case = open_volume(values, None, BEST)
    shown = segment_volume_case(case, BEST, 0, ProgressView(open_bar))
    assert totals == [4] and seen == [
        *((0, "training network 1 of 2"), (2, "training network 2 of 2")),
        (4, "choosing a network"),
    ]
    assert all(one["progress"] is None for one in trainings), "a program that JAX can cache"
    np.testing.assert_array_equal(shown.labels, heard.labels)
    totals.clear()
    segment_volume_case(case, BEST, 0, ProgressView(open_bar), NetworkParams({"mean": 0.0}, 0, ""))
    assert totals == [], "a given network needs no training"


def test_another_function_needs_no_new_program() -> None:
    values, _ = make_ball()
    config = FAST.replace(model={"channels": 4}, fit={"slices": 2})
    programs: Any = sys.modules["s3net_jax.fitting.dataset"]._train
    programs.clear_cache()
    steps: list[int] = []
    first = segment(values, config=config, progress=lambda step, _: steps.append(step))
    second = segment(values, config=config, progress=lambda step, _: steps.append(-step))
    assert sorted(steps) == [-2, -1, 1, 2] and programs._cache_size() == 1
    np.testing.assert_array_equal(first.labels, second.labels)


def test_options_of_the_configuration() -> None:
    default = s3.preset("best")
    assert default.digest == default.replace(fit={"volume": "slices", "slices": 8}).digest
    assert len({default.digest, BEST.digest, BEST.replace(fit={"slices": 9}).digest}) == 3


@pytest.mark.slow
def test_worker_processes_apply_the_network(tmp_path: Path) -> None:
    path, _ = save_ball(tmp_path)
    config = FAST.replace(model={"channels": 4})
    engine = ProcessEngine(config, workers=2)
    try:
        segment_inputs([path], tmp_path / "out", config, engine=engine, listener=Watcher())
    finally:
        engine.close()
    (record,) = lines(tmp_path)
    assert "error" not in record and record["shared"]
    np.testing.assert_array_equal(
        read(tmp_path / "out/scan.labels.nii.gz"), segment(path, config=config).labels
    )


def test_a_training_set_gives_its_images(trainings: list[dict[str, Any]]) -> None:
    values, _ = make_ball()
    case = open_volume(values, None, FAST)
    images = TrainingSet(FAST, [piece for n in range(3) if (piece := case.piece(n)) is not None])
    assert images.images.shape == (3, 32, 32, 3)
