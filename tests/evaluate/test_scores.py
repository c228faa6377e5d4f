"""Tables of scores: written, read, summed up."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.baselines import Prediction
from s3net_jax.config import ConfigError
from s3net_jax.evaluate import METRICS, PROTOCOLS, estimate_mean
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.scores import (
    Score,
    read_scores,
    score_baselines,
    score_results,
    summarise,
    write_scores,
)
from s3net_jax.io import write_stack
from tests.processes import HANG


def score(method: str, image: str, protocol: str, dsc: float, seconds: float = 1.0) -> Score:
    return Score(
        method, image, protocol, {m: dsc / (n + 1) for n, m in enumerate(METRICS)}, seconds
    )


def table(method: str, images: dict[str, float], seconds: float = 1.0) -> list[Score]:
    """Scores of each protocol, ``blind`` the lowest."""
    return [
        score(method, image, protocol, dsc + 3 - n, seconds * (1 + place))
        for place, (image, dsc) in enumerate(images.items())
        for n, protocol in enumerate(PROTOCOLS)
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    scores = table("s3net best", {"a": 80.25, "b": 64.5}, 0.1234) + table("other", {"=c": 0.0})
    write_scores(tmp_path / "metrics.csv", scores)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "method,image,protocol,dsc,hm,xor,hd95,boundary_f,seconds"
    assert lines[4] == "s3net best,a,blind,80.2500,40.1250,26.7500,20.0625,16.0500,0.1234"
    found = read_scores(tmp_path / "metrics.csv")
    assert [(s.method, s.image, s.protocol) for s in found] == [
        (s.method, s.image, s.protocol) for s in scores
    ]
    for one, other in zip(found, scores, strict=True):
        assert one.metrics == pytest.approx(other.metrics, abs=5e-5)
        assert one.seconds == pytest.approx(other.seconds, abs=5e-5)


@pytest.mark.parametrize(
    "row",
    [
        "m,a,blond,1,1,1,1,1,1",
        "m,a,blind,nan,1,1,1,1,1",
        "m,a,blind,1,1,1,inf,1,1",
        "m,a,blind,1,1,1,1,1,inf",
        "m,a,blind,1,1,x,1,1,1",
        "m,a,blind,1,1,1,1,1",
    ],
)
def test_tables_of_something_else_are_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(f"method,image,protocol,{','.join(METRICS)},seconds\n{row}\n")
    with pytest.raises(ConfigError, match="not a table of scores"):
        read_scores(path)


def test_a_summary_has_every_mean_and_compares_images_that_are_shared() -> None:
    ours = table("ours", {"a": 80, "b": 60, "c": 90, "d": 40}, 2.0)
    other = table("other", {"b": 50, "a": 75, "x": 10})
    alone = table("alone", {"y": 30})
    found = summarise([*ours, *other, *alone], "ours")
    assert list(found["methods"]) == ["ours", "other", "alone"] and found["reference"] == "ours"
    methods = found["methods"]
    assert [methods[name]["images"] for name in methods] == [4, 3, 1]
    assert methods["ours"]["seconds"] == 5.0 and methods["other"]["seconds"] == 2.0, "the median"
    for n, protocol in enumerate(PROTOCOLS):
        for place, metric in enumerate(METRICS):
            values = (np.array([80, 60, 90, 40]) + 3.0 - n) / (place + 1)
            assert methods["ours"]["protocols"][protocol][metric] == vars(estimate_mean(values))
    (name,) = found["comparisons"]
    compared = found["comparisons"]["other"]
    assert name == "other" and compared["mean"] == 7.5 and compared["count"] == 2
    assert compared["p_value"] == 0.5, "two images, both the same way"
    assert summarise(ours, "missing")["comparisons"] == {}


def save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    PilImage.fromarray(mask.astype(np.uint8) * 255).save(path)


def test_results_that_failed_or_are_missing_are_left_out(tmp_path: Path) -> None:
    truth = np.zeros((30, 40), bool)
    truth[10:20, 10:20] = True
    pairs, records = [], {}
    for name in "abc":
        save(tmp_path / f"{name}.png", truth)
        save(tmp_path / f"truth/{name}.png", truth)
        pairs.append(Pair(name, tmp_path / f"{name}.png", tmp_path / f"truth/{name}.png", "image"))
    PilImage.fromarray(np.roll(truth, 1, 0).astype(np.uint8)).save(tmp_path / "labels.png")
    save(tmp_path / "mask.png", np.roll(truth, 2, 1))
    outputs = {"outputs": {"labels": "labels.png", "mask": "mask.png"}, "seconds": 1.5}
    records = {str(pairs[0].image): {"error": "lost"}, str(pairs[2].image): outputs}
    found = score_results("m", pairs, records, tmp_path)
    assert [(s.method, s.image, s.protocol, s.seconds) for s in found] == [
        ("m", "c", protocol, 1.5) for protocol in PROTOCOLS
    ]
    assert [s.metrics["dsc"] for s in found if s.protocol in ("overlap", "blind")] == [90, 80]
    assert found[-1].metrics["xor"] == 40 and found[-1].metrics["hm"] == 33.3333


@pytest.mark.parametrize("cores", [1, 3])
def test_scores_do_not_depend_on_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr("s3net_jax.parallel.count_usable_cores", lambda: cores)
    pairs, records, threads, ticks = [], {}, set(), []
    for n in range(6):
        truth = np.zeros((30, 40), bool)
        truth[5 + n : 20, 10:20] = True
        for name in (f"{n}.png", f"truth/{n}.png"):
            save(tmp_path / name, truth)
        save(tmp_path / f"{n}.mask.png", np.roll(truth, n, 1))
        pair = Pair(str(n), tmp_path / f"{n}.png", tmp_path / f"truth/{n}.png")
        outputs = {"labels": f"{n}.mask.png", "mask": f"{n}.mask.png"}
        pairs.append(pair)
        records[str(pair.image)] = {"outputs": outputs, "seconds": n, "width": 40, "height": 30}

    met = threading.Barrier(cores)

    def predict(image: np.ndarray) -> Prediction:
        threads.add(threading.get_ident())
        met.wait(HANG)  # passes only if all cores work at once
        return Prediction((image[..., 0] > 0).astype(np.int32), image[..., 0] > 0)

    found = score_results("m", pairs, records, tmp_path, lambda: ticks.append(1))
    assert [s.image for s in found if s.protocol == "blind"] == list("012345")
    dice = [s.metrics["dsc"] for s in found if s.protocol == "blind"]
    assert dice == [100, 90, 80, 70, 60, 50] and [s.seconds for s in found][::4] == [*range(6)]
    scores = score_baselines(pairs, {"levels": predict}, tick=lambda: ticks.append(1))
    assert [s.image for s in scores][::4] == list("012345") and len(ticks) == 12
    assert len(threads) == cores


def test_stacks_have_their_slices_last_and_no_baselines(tmp_path: Path) -> None:
    truth = np.zeros((3, 30, 40), np.uint8)
    truth[1, 10:20, 10:20] = 1
    for name in ("image", "truth", "labels", "mask"):
        write_stack(tmp_path / f"{name}.tif", truth)
    pair = Pair("s", tmp_path / "image.tif", tmp_path / "truth.tif", "stack")
    outputs = {"outputs": {"labels": "labels.tif", "mask": "mask.tif"}, "seconds": 1}
    found = score_results("m", [pair], {str(pair.image): outputs}, tmp_path)
    assert [s.metrics["dsc"] for s in found] == [100] * 4

    def predict(image: np.ndarray) -> Prediction:
        return Prediction((image[..., 0] > 0).astype(np.int32), image[..., 0] > 0)

    image = Pair("i", tmp_path / "image.png", tmp_path / "truth/image.png", "image")
    save(image.image, truth[1])
    save(image.truth, truth[1])
    scores = score_baselines([pair, image], {"levels": predict})
    assert [(s.method, s.image, s.protocol) for s in scores] == [
        ("levels", "i", protocol) for protocol in PROTOCOLS
    ]
    assert all(s.metrics["dsc"] == 100 and s.seconds >= 0 for s in scores)
