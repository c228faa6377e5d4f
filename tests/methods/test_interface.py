"""One interface for methods: a custom method does everything that S3-Net does."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.methods import get_method, list_methods, register_method
from tests.methods import smooth

CONFIG = s3.Config().replace(
    preset="total-variation",
    method={"name": "total-variation"},
    model={"channels": 5},
    loss={"weight_ce": 1},
    fit={"steps": 4, "learning_rate": 0.1},
    input={"size": 16},
)
KEY = jax.random.key(0)


@pytest.fixture
def image(picture: np.ndarray) -> np.ndarray:
    return s3.prepare(picture, CONFIG)


def test_a_registered_method_is_fitted(image: np.ndarray) -> None:
    result = s3.fit(KEY, image, CONFIG)
    assert result.labels.shape == (16, 16) and result.logits.shape == (16, 16, 5)
    assert set(result.history) == {"loss", "ce", "variation", "labels"}
    ce, variation = result.history["ce"], result.history["variation"]
    np.testing.assert_allclose(result.history["loss"], ce + 0.5 * variation, rtol=1e-6)
    assert result.history["loss"][-1] < result.history["loss"][0]


@pytest.mark.slow
def test_it_runs_wherever_s3net_does(picture: np.ndarray) -> None:
    config = CONFIG.replace(fit={"members": 2}, segment={"choice": "proposals"})
    whole = s3.segment(picture, config=config)
    assert whole.labels.shape == picture.shape[:2] and set(whole.history) >= {"ce", "variation"}
    again = s3.segment(picture, config=config)
    np.testing.assert_array_equal(whole.mask, again.mask)


@pytest.mark.slow
def test_its_weights_are_dynamic(image: np.ndarray) -> None:
    hyper = s3.grid(CONFIG, weight_variation=(0, 5))
    both = s3.fit_batch(jax.random.split(KEY, 2), image, CONFIG, hyper=hyper)
    for n, weight in enumerate((0, 5)):
        config = CONFIG.replace(method={"weight_variation": weight})
        assert s3.fitting.static_config(config) == s3.fitting.static_config(CONFIG)
        one = s3.fit(jax.random.split(KEY, 2)[n], image, config)
        np.testing.assert_allclose(one.logits, both.logits[n], atol=1e-5)


def test_its_configuration_is_written_and_read() -> None:
    config = CONFIG.replace(method={"weight_variation": "2"})
    assert config.method == smooth.SmoothConfig(weight_variation=2)
    assert s3.Config().replace(**config.to_dict()) == config
    assert config.differences(s3.Config())["method.weight_variation"] == 2
    assert config.digest != CONFIG.digest
    assert CONFIG.replace(method={"name": "s3net"}).method == s3.MethodConfig()


def test_mistakes_are_named() -> None:
    with pytest.raises(
        s3.ConfigError, match=r"There is no method 'total-variaton'\. Did you mean total"
    ):
        CONFIG.replace(method={"name": "total-variaton"})
    with pytest.raises(s3.ConfigError, match=r"no field 'method\.weight'"):
        CONFIG.replace(method={"weight": 1})
    with pytest.raises(
        s3.ConfigError, match=r"model\.deform=free has no effect on the method total"
    ):
        CONFIG.replace(model={"deform": "free"})
    with pytest.raises(TypeError, match="not a str"):
        register_method("total-variation")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="does not use transforms"):
        s3.fit(KEY, np.zeros((16, 16, 3), np.float32), CONFIG, transforms=np.zeros((4, 2, 3)))
    with pytest.raises(ValueError, match="does not use data"):
        s3.fit(KEY, np.zeros((16, 16, 3), np.float32), CONFIG, data=np.zeros(3))


def test_the_registry() -> None:
    assert list_methods()[0] == "s3net" and "total-variation" in list_methods()
    assert get_method("total-variation") is smooth.METHOD
    assert register_method(smooth.METHOD) is smooth.METHOD  # a module may be imported twice


@pytest.mark.parametrize("name", ["iic-image", "deepcluster-image"])
def test_methods_with_custom_steps_refuse_unused_arguments(name: str) -> None:
    config = s3.preset(name).replace(input={"size": 24})
    image = np.zeros((24, 24, 3), np.float32)
    with pytest.raises(ValueError, match="does not support extra_loss"):
        s3.fit(KEY, image, config, extra_loss=lambda logits, labels, image: logits.sum())
    with pytest.raises(ValueError, match="does not support record"):
        s3.fit(KEY, image, config, record=lambda context: {})
