"""Training on a folder's images, prediction, and files of parameters."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import s3net_jax as s3
from s3net_jax.fitting import fit_dataset, load_params, predict, save_params
from s3net_jax.methods import Forward, Method, register_method

CONFIG = s3.preset("iic").replace(
    input={"size": 24},
    fit={"steps": 3},
    method={"width": 2, "overclusters": 4, "displacement": 1},
)
KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).random((5, 14, 12, 3)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class WatchConfig(s3.MethodConfig):
    name: str = "watch"


class _Watch(nnx.Module):
    def __init__(self):
        self.bias = nnx.Param(jnp.zeros(2))


def _watch_batch(model: _Watch, inputs: s3.fitting.StepInputs, config: s3.Config) -> Forward:
    """Record which images a step sees: the sum of 2^n over the images that show n."""
    seen = jnp.sum(2 ** jnp.round(inputs.images[:, 0, 0, 0] * 10))
    logits = jnp.zeros((*inputs.images.shape[:3], 2)) + model.bias[...]
    labels = jnp.zeros(logits.shape[:3], jnp.int32)
    same = jnp.sum((inputs.data - jnp.round(inputs.images[:, 0, 0, 0] * 10)) ** 2)
    return Forward(jnp.sum(model.bias[...]), {"seen": seen, "same": same}, labels, logits)


WATCH = register_method(
    Method(
        config=WatchConfig,
        build=lambda config, shape, rngs: _Watch(),
        objective=_watch_batch,
        compute_logits=lambda model, images, config: images[..., :2] + model.bias[...],
        terms=("seen", "same"),
        prepare=lambda image, config: np.round(image[0, 0, 0] * 10),
    )
)


def test_every_epoch_shows_every_image_once():
    images = np.broadcast_to(np.arange(6)[:, None, None, None] / 10, (6, 8, 8, 3))
    config = s3.Config().replace(method={"name": "watch"}, model={"channels": 2}, fit={"steps": 9})
    records: list[dict[str, Any]] = []
    fit_dataset(
        KEY, images.astype(np.float32), config, batch=2, progress=lambda _, r: records.append(r)
    )
    seen = [int(record["seen"]) for record in records]
    assert all(bin(number).count("1") == 2 for number in seen)
    assert [sum(seen[epoch : epoch + 3]) for epoch in (0, 3, 6)] == [63, 63, 63]
    assert len({tuple(seen[epoch : epoch + 3]) for epoch in (0, 3, 6)}) > 1
    assert all(record["same"] == 0 for record in records)  # prepared data go with their images


def test_parameters_of_every_step():
    """The gradient is 1: without momentum, each step lowers the bias by the learning rate."""
    fit = {"steps": 3, "learning_rate": 0.25, "momentum": 0}
    config = s3.Config().replace(method={"name": "watch"}, model={"channels": 2}, fit=fit)
    images = np.zeros((3, 8, 8, 3), np.float32)
    steps = fit_dataset(KEY, images, config, batch=2, keep_steps=True)
    np.testing.assert_allclose(steps["bias"][...], [[-0.25] * 2, [-0.5] * 2, [-0.75] * 2])
    last = fit_dataset(KEY, images, config, batch=2)
    np.testing.assert_array_equal(last["bias"][...], steps["bias"][...][-1])
    own = s3.preset("deepcluster").replace(input={"size": 16}, fit={"steps": 1})
    with pytest.raises(ValueError, match="deepcluster trains in its own way: drop keep_steps"):
        fit_dataset(KEY, images, own, keep_steps=True)


@pytest.mark.slow
def test_training_is_reproducible_and_compiles_once():
    compiled: Any = sys.modules["s3net_jax.fitting.dataset"]._train
    compiled.clear_cache()
    params = fit_dataset(KEY, IMAGES, CONFIG, batch=2)
    again = fit_dataset(KEY, jnp.asarray(IMAGES), CONFIG, batch=2)
    jax.tree.map(np.testing.assert_array_equal, params, again)
    other = fit_dataset(jax.random.key(1), IMAGES[::-1], CONFIG, batch=2)
    assert compiled._cache_size() == 1
    assert not np.array_equal(params["head_b"]["kernel"][...], other["head_b"]["kernel"][...])


@pytest.mark.slow
def test_a_prediction_is_the_result_of_a_fit():
    config = CONFIG.replace(fit={"steps": 1}, method={"trained_on": "image"})
    result = s3.fit(KEY, IMAGES[0], config)
    compiled: Any = sys.modules["s3net_jax.fitting.dataset"]._predict
    compiled.clear_cache()
    logits = predict(result.params, IMAGES[0], config)
    assert logits.shape == (14, 12, 3) and logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, result.logits, atol=1e-5)
    predict(nnx.to_pure_dict(result.params), IMAGES[1], config.replace(fit={"steps": 9}))
    assert compiled._cache_size() == 1
    assert predict(result.params, np.ones((17, 20, 3), np.float32), config).shape == (17, 20, 3)


def test_single_images_are_refused_by_settings_for_folders():
    with pytest.raises(s3.ConfigError, match=r"preset iic trains .* or the preset iic-image"):
        s3.fit(KEY, IMAGES[0], CONFIG)
    with pytest.raises(s3.ConfigError, match=r"segment_batch, or .*fit_dataset and predict"):
        s3.fit_batch(KEY[None], IMAGES[:1], CONFIG)


@pytest.mark.slow
def test_deepcluster_shares_its_clusters_among_images():
    config = s3.preset("deepcluster").replace(
        input={"size": 16}, model={"channels": 6, "blocks": 1}, fit={"steps": 2}
    )
    seen: list[tuple[int, dict[str, Any]]] = []
    params = fit_dataset(
        KEY, IMAGES, config, batch=2, progress=lambda step, r: seen.append((step, r))
    )
    assert predict(params, IMAGES[0], config).shape[:2] == (14, 12)
    assert [step for step, _ in seen] == [1, 2]
    assert all(isinstance(record["loss"], float) for _, record in seen)


@pytest.mark.slow
def test_s3net_can_be_trained_on_a_folder():
    config = s3.preset("fast").replace(model={"channels": 4}, fit={"steps": 2})
    params = fit_dataset(KEY, IMAGES, config)
    assert predict(params, IMAGES[0], config).shape == (14, 12, 4)


@pytest.mark.slow
def test_parameters_are_saved_and_loaded(tmp_path):
    params = s3.fitting.initial_params(KEY, CONFIG, (14, 12, 3))
    path = tmp_path / "folder.params"
    save_params(path, params, CONFIG)
    save_params(str(path), params, CONFIG)  # replaces the file
    assert [file.name for file in tmp_path.iterdir()] == ["folder.params"]
    later = CONFIG.replace(fit={"steps": 7}, segment={"target": "dark"})
    loaded = load_params(path, later)
    jax.tree.map(np.testing.assert_array_equal, loaded, nnx.to_pure_dict(params))
    np.testing.assert_array_equal(
        predict(loaded, IMAGES[0], later), predict(params, IMAGES[0], CONFIG)
    )


def test_parameters_of_another_configuration_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    save_params(path, s3.fitting.initial_params(KEY, CONFIG, (14, 12, 3)), CONFIG)
    with pytest.raises(
        s3.ConfigError,
        match=r"a\.npz belongs to another configuration, with method\.width=2 instead of 3: use",
    ):
        load_params(path, CONFIG.replace(method={"width": 3}))
    with pytest.raises(s3.ConfigError, match=r"with input\.channel_order=rgb instead of bgr"):
        load_params(path, CONFIG.replace(input={"channel_order": "bgr"}))
    with pytest.raises(s3.ConfigError, match=r"with method\.name=iic instead of s3net: use"):
        load_params(path, s3.preset("paper").replace(model={"channels": 3}, input={"size": 24}))
    load_params(path, CONFIG.replace(model={"implementation": "xla"}))


def test_a_file_keeps_how_its_network_was_trained(tmp_path):
    path, params = tmp_path / "a.npz", s3.fitting.initial_params(KEY, CONFIG, (14, 12, 3))
    save_params(path, params, CONFIG, training={"images": 5})
    found = s3.fitting.read_network(path)
    assert found.config == CONFIG and found.training == {"images": 5}
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    save_params(path, params, CONFIG)
    assert s3.fitting.read_network(path).training == {}


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(s3.InputError, match=r"a\.npz can't be read: no such file"):
        load_params(path, CONFIG)
    for content in (b"", b"text", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        with pytest.raises(s3.InputError, match=r"a\.npz is no file of parameters, or it is dama"):
            load_params(path, CONFIG)
    np.savez(path, a=np.ones(2))
    with pytest.raises(s3.InputError, match=r"is no file of parameters"):
        load_params(path, CONFIG)
    save_params(path, s3.fitting.initial_params(KEY, CONFIG, (14, 12, 3)), CONFIG)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(s3.InputError, match=r"is no file of parameters"):
        load_params(path, CONFIG)


def test_wrong_arguments_are_refused():
    call: Any = fit_dataset
    with pytest.raises(ValueError, match=r"takes at least one image, \(N, H, W, C\), got the shap"):
        call(KEY, IMAGES[0], CONFIG)
    with pytest.raises(ValueError, match=r"batch must be at most the number of images, 5, got 6"):
        call(KEY, IMAGES, CONFIG, batch=6)
    with pytest.raises(ValueError, match=r"batch must be at least 1, got 0\."):
        call(KEY, IMAGES, CONFIG, batch=0)
    with pytest.raises(ValueError, match=r"takes one key, not keys of the shape \(2,\)"):
        call(jax.random.split(KEY), IMAGES, CONFIG)
    with pytest.raises(TypeError, match=r"params is None"):
        predict(None, IMAGES[0], CONFIG)
    params = s3.fitting.initial_params(KEY, CONFIG, (14, 12, 3))
    with pytest.raises(ValueError, match=r"has the shape .*, but the configured network needs"):
        predict(params, IMAGES[0], CONFIG.replace(method={"width": 3}))
