"""Results keep logits and parameters on request, and these are those of a fit."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.io import from_array
from s3net_jax.run.fitter import Fitter
from s3net_jax.run.outcome import Fitted, Piece

SMALL: dict[str, Any] = {"input": {"size": 24}, "model": {"channels": 6}, "fit": {"steps": 2}}
CONFIG = s3.preset("fast").replace(**SMALL)
segment: Callable[..., Any] = s3.segment
batch: Callable[..., Any] = s3.segment_batch


def make_config(name: str) -> s3.Config:
    changes = {key: dict(value) for key, value in SMALL.items()}
    if name == "ms-former":
        changes["input"]["size"] = 33
    if name == "iic-image":
        changes["method"] = {"width": 2, "displacement": 1}
    return s3.preset(name).replace(**changes)


def assert_bits(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def test_nothing_is_kept_by_default(picture: np.ndarray) -> None:
    result = segment(picture, config=CONFIG)
    assert result.logits is None and result.params is None and result.member == 0
    only = segment(picture, config=CONFIG, keep=["logits"])
    assert only.logits.shape == (24, 24, 6) and only.params is None
    np.testing.assert_array_equal(only.labels, result.labels)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "fast",
        "dfc",
        *("sgscn", "slic-backprop", "ms-former", "iic-image", "deepcluster-image"),
    ],
)
def test_they_are_those_of_a_fit(name: str, picture: np.ndarray) -> None:
    """The same programs give the same bits: ``fit`` with a listener, or ``fit_batch``."""
    config = make_config(name)
    image, key = s3.prepare(picture, config), s3.make_key(7)

    def ignore(step: int, record: dict[str, Any]) -> None:
        pass

    heard = segment(picture, config=config, seed=7, keep=("logits", "params"), progress=ignore)
    single = s3.fit(key, image, config, progress=ignore)
    assert_bits(heard.logits, single.logits)
    assert_bits(heard.params, jax.tree.map(np.asarray, single.params))
    quiet = segment(picture, config=config, seed=7, keep=("logits", "params"))
    many = s3.fit_batch(key[None], image[None], config, progress=ignore)
    assert_bits(quiet.logits, many.logits[0])
    assert_bits(quiet.params, jax.tree.map(lambda a: a[0], many.params))
    np.testing.assert_allclose(quiet.logits, heard.logits, atol=5e-2)
    assert quiet.logits.dtype == np.float32 and quiet.logits.flags.owndata


@pytest.mark.slow
def test_a_batch_keeps_those_of_every_image_and_seed(picture: np.ndarray) -> None:
    found = batch([picture, picture[::-1]], config=CONFIG, seeds=[0, 3], keep=("logits", "params"))
    for image, row in zip((picture, picture[::-1]), found, strict=True):
        for seed, result in zip((0, 3), row, strict=True):
            one = segment(image, config=CONFIG, seed=seed, keep=("logits", "params"))
            np.testing.assert_allclose(result.logits, one.logits, atol=1e-3)
            # They are starting parameters of another fit.
            assert jax.tree.structure(result.params) == jax.tree.structure(one.params)
    pixels = s3.prepare(picture, CONFIG)
    again = s3.fit(s3.make_key(0), pixels, CONFIG, params=found[0][0].params)
    assert np.isfinite(again.logits).all()


@pytest.mark.slow
def test_of_several_members_the_chosen_one_is_kept(picture: np.ndarray) -> None:
    config = s3.preset("best").replace(**SMALL).replace(fit={"members": 3})
    result = segment(picture, config=config, seed=5, keep=("logits", "params"))
    image = s3.prepare(picture, config)
    keys = jnp.stack([s3.make_key(5, member) for member in range(3)])
    recorded = config.replace(fit={"record_labels": True})
    one = s3.fit(keys[result.member], image, recorded)
    np.testing.assert_allclose(result.logits, one.logits, atol=1e-3)
    np.testing.assert_allclose(result.history["loss"], one.history["loss"], rtol=1e-4)
    agreed = segment(picture, config=CONFIG.replace(fit={"members": 2}), seed=5, keep=("logits",))
    assert agreed.member == 0


def test_of_tiles_the_middle_one_is_kept(picture: np.ndarray) -> None:
    large = np.tile(picture, (2, 3, 1))
    config = CONFIG.replace(input={"tile": 40})
    result = segment(large, config=config, keep=("logits",))
    assert result.logits.shape == (24, 24, 6)


@pytest.mark.slow
def test_copies_do_not_hold_a_batch_in_memory(picture: np.ndarray) -> None:
    pieces = [Piece(from_array(picture), seed) for seed in range(2)]
    found = Fitter(CONFIG, limit=2, keep=("logits", "params")).fit(pieces)
    for one in found:
        assert isinstance(one, Fitted) and one.logits is not None
        assert all(leaf.base is None for leaf in jax.tree.leaves(one.params))
    plain = Fitter(CONFIG).fit(pieces[:1])[0]
    assert isinstance(plain, Fitted) and plain.params is None


def test_kept_results_can_be_pickled(picture: np.ndarray) -> None:
    result = segment(picture, config=CONFIG, keep=("logits", "params"))
    again = pickle.loads(pickle.dumps(result))
    assert_bits(again.params, result.params)
    np.testing.assert_array_equal(again.logits, result.logits)


@pytest.mark.parametrize("call", [segment, lambda image, **more: batch([image], **more)])
def test_mistakes_are_named(call: Any, picture: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"keep is True; give a list of names, such as \['logits'"):
        call(picture, config=CONFIG, keep=True)
    with pytest.raises(TypeError, match="keep is 'logits'"):
        call(picture, config=CONFIG, keep="logits")
    with pytest.raises(ValueError, match="keep can't be 'features': use 'logits' or 'params'"):
        call(picture, config=CONFIG, keep=["features"])
