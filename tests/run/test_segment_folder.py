"""Methods that train on many images, and trained networks, from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax import fitting
from s3net_jax.run import make_key
from tests.pictures import save_lesion
from tests.volumes import ball

CONFIG = s3.preset("deepcluster").replace(
    input={"size": 24}, model={"channels": 6, "blocks": 1}, fit={"steps": 2}
)
IIC = s3.preset("iic").replace(
    input={"size": 24},
    fit={"steps": 2},
    method={"width": 2, "overclusters": 4, "displacement": 1},
)
segment: Callable[..., s3.Segmentation] = s3.segment
segment_batch: Callable[..., list[list[s3.Segmentation]]] = s3.segment_batch


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        save_lesion(path, seed=n, shape=(40, 48))
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, IIC], ids=["deepcluster", "iic"])
def test_a_batch_trains_one_network(images: list[Path], config: s3.Config) -> None:
    steps: list[int] = []
    found = segment_batch(images, config=config, progress=lambda step, _: steps.append(step))
    assert sorted(steps) == [1, 2]
    result = found[1][0]
    assert result.labels.shape == (40, 48) and result.steps == 0 and not result.history["loss"].size
    assert "predicted" in repr(result) and not result.notes
    pixels = np.stack([s3.prepare(path, config) for path in images])
    params = fitting.fit_dataset(make_key(0), pixels, config)
    same = segment(images[1], config=config, model=params)
    np.testing.assert_array_equal(result.labels, same.labels)


@pytest.mark.slow
def test_a_single_image_is_noted(images: list[Path]) -> None:
    result = segment(images[0], config=CONFIG, progress=False)
    assert "trained on one image, although the preset deepcluster is" in result.notes[0]
    found = segment_batch(images[:1], config=CONFIG, seeds=(0, 1))[0]
    np.testing.assert_array_equal(found[0].labels, result.labels)
    assert segment_batch([], config=CONFIG) == []


def test_a_file_brings_its_configuration(images: list[Path], tmp_path: Path) -> None:
    pixels = np.stack([s3.prepare(path, CONFIG) for path in images])
    params = fitting.fit_dataset(make_key(0), pixels, CONFIG)
    path = tmp_path / "model.npz"
    fitting.save_params(path, params, CONFIG)
    result = segment(images[0], model=str(path), target="dark")
    expected = segment(images[0], model=params, config=CONFIG, target="dark")
    np.testing.assert_array_equal(result.mask, expected.mask)
    with pytest.raises(TypeError, match="parameters without their configuration: pass the config"):
        segment(images[0], model=params)
    with pytest.raises(s3.ConfigError, match="belongs to another configuration"):
        segment(images[0], model=path, preset="iic")
    with pytest.raises(s3.ConfigError, match="network can't be applied: The names of the"):
        segment(images[0], model=params, config=IIC)
    with pytest.raises(ValueError, match=r"same result for every seed, but seeds is \(0, 1\)"):
        segment_batch(images, model=path, seeds=(0, 1))
    with pytest.raises(s3.InputError, match="can't be read"):
        segment(images[0], model=tmp_path / "none.npz")


@pytest.mark.slow
def test_networks_of_other_methods_are_applied_too(images: list[Path]) -> None:
    config = s3.preset("fast").replace(input={"size": 16}, model={"channels": 4})
    pixels = s3.prepare(images[0], config)
    params = fitting.initial_params(make_key(0), config, pixels.shape)
    result = segment(images[0], model=params, config=config)
    assert result.steps == 0 and result.labels.shape == (40, 48)


def test_a_volume_trains_on_its_slices() -> None:
    volume = np.moveaxis(ball((40, 48, 3))[0], -1, 0)
    result = s3.segment_volume(volume, config=CONFIG)
    assert result.labels.shape == volume.shape and not result.notes
    assert result.target and result.mask.any()
