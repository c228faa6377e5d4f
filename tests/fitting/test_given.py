"""Test which configuration fields affect a fit, and which kinds of arguments it accepts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

import s3net_jax as s3
from s3net_jax.config import Config
from s3net_jax.fitting import Hyper, hyperparameters, initial_params, static_config

KEY = jax.random.key(0)
CONFIG = Config().replace(
    model={"channels": 4, "block": "conv", "deform": "none"}, fit={"steps": 1}
)
IMAGE = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
fit: Callable[..., Any] = s3.fit
fit_batch: Callable[..., Any] = s3.fit_batch


def other_value(value: Any, hint: Any) -> Any:
    """Return another valid value for a field."""
    if get_origin(hint) is Literal:
        return next(choice for choice in get_args(hint) if choice != value)
    if hint is bool:
        return not value
    if hint is int:
        return value + 2 if value else 32
    if hint is float:
        return value / 2 or 0.5
    if hint is str:
        return f"{value}2"
    return tuple(v * 0.5 for v in value) if hint != tuple[int, ...] else value[::-1]


def fields(section: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """List every field of a configuration with another value."""
    hints = get_type_hints(type(section))
    for name in (field.name for field in dataclasses.fields(section)):
        value, hint = getattr(section, name), hints[name]
        if dataclasses.is_dataclass(value):
            yield from fields(value, (*path, name))
        else:
            yield (*path, name), other_value(value, hint)


FIELDS = [
    (path, "2:" if path == ("input", "slices") else value)
    for path, value in fields(Config())
    # float64 needs another setting of JAX; methods have separate tests.
    if path[-1] != "dtype" and path[0] != "method"
]
DYNAMIC = {"weight_ce", "weight_affine", "weight_spatial", "learning_rate", "momentum"}
SHARED = {*DYNAMIC, "members", "volume", "slices"}


@pytest.mark.parametrize(("path", "value"), FIELDS, ids=[".".join(path) for path, _ in FIELDS])
def test_a_program_is_shared_by_what_does_not_shape_it(path: tuple[str, ...], value: Any) -> None:
    changes: Any = value
    for name in reversed(path):
        changes = {name: changes}
    changed = Config().replace(**changes)
    assert changed != Config()
    shared = path[0] in ("preset", "input", "segment") or path[-1] in SHARED
    assert (static_config(changed) == static_config(Config())) is shared
    if not shared:  # the result keeps it as given
        kept: Any = static_config(changed)
        for name in path:
            kept = getattr(kept, name)
        assert kept == value
    assert (hyperparameters(changed) != hyperparameters(Config())) is (path[-1] in DYNAMIC)


def test_dynamic_numbers_are_those_of_their_fields() -> None:
    config = CONFIG.replace(
        loss={"weight_ce": 1, "weight_affine": 2, "weight_spatial": 3},
        fit={"learning_rate": 4, "momentum": 0.5},
    )
    assert hyperparameters(config) == Hyper(1, 2, 3, 4, 0.5)


def test_a_grid_varies_the_last_name_fastest_and_keeps_the_others() -> None:
    hyper = s3.grid(CONFIG, momentum=(0.1, 0.2), weight_ce=(1, 2, 3), learning_rate=(5, 6))
    assert [jnp.shape(v) for v in jax.tree.leaves(hyper)] == [(12,)] * 5
    np.testing.assert_allclose(hyper.momentum, np.repeat([0.1, 0.2], 6))
    np.testing.assert_allclose(hyper.weight_ce, np.tile(np.repeat([1, 2, 3], 2), 2))
    np.testing.assert_allclose(hyper.learning_rate, np.tile([5, 6], 6))
    np.testing.assert_allclose(hyper.weight_affine, [CONFIG.loss.weight_affine] * 12)
    np.testing.assert_allclose(hyper.weight_spatial, [CONFIG.loss.weight_spatial] * 12)
    assert all(jnp.issubdtype(jnp.asarray(v).dtype, jnp.floating) for v in jax.tree.leaves(hyper))
    one = s3.grid(CONFIG)
    assert {jnp.shape(v) for v in jax.tree.leaves(one)} == {(1,)}


@pytest.mark.parametrize("shape", [(7, 8, 3), (8, 7, 3), (8, 8, 0), (8, 8), (1, 8, 8, 3)])
def test_smaller_images_and_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^fit takes .*images? "):
        fit(KEY, np.zeros(shape, np.float32), CONFIG)
    # 8×8 is the smallest size allowed.
    assert jax.eval_shape(lambda key: fit(key, IMAGE, CONFIG), KEY).labels.shape == (8, 8)


class Wrapped:
    """An array of another library, which converts itself for JAX."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __jax_array__(self) -> jax.Array:
        return jnp.asarray(self.value)


def test_arrays_of_other_libraries_are_taken_as_what_they_hold() -> None:
    numbers = hyperparameters(CONFIG)
    plain = fit(KEY, IMAGE, CONFIG)
    wrapped = dataclasses.replace(numbers, momentum=Wrapped(numbers.momentum))
    found = fit(KEY, Wrapped(IMAGE), CONFIG, hyper=wrapped)
    np.testing.assert_array_equal(found.logits, plain.logits)
    with pytest.raises(TypeError, match="given is int32"):
        fit(KEY, Wrapped(IMAGE.astype(np.int32)), CONFIG)


def masked(mask: Any, key: Any, logits: Any, labels: Any, image: Any) -> Any:
    """A custom term that checks the kinds of arrays it gets."""
    assert mask.dtype == bool
    noise = jax.random.uniform(key, mask.shape)
    return jnp.mean(jnp.where(mask, noise, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, lambda mask: bool(mask[0, 0])])
def test_masks_and_keys_may_be_bound(make: Callable[[np.ndarray], Any]) -> None:
    mask, key = IMAGE[..., 0] < 0.5, jax.random.key(9)
    given = make(mask)
    result = fit(KEY, IMAGE, CONFIG, extra_loss=Partial(masked, given, key))
    expected = masked(jnp.asarray(given), key, None, None, None)
    np.testing.assert_allclose(result.history["extra"], [expected], rtol=1e-6)


@pytest.mark.parametrize("devices", ["cpu", [jax.devices()[0], "cpu"], [None], 3, ()])
def test_devices_are_devices(devices: Any) -> None:
    with pytest.raises(ValueError, match=r"give at least one of jax\.devices\(\), or None"):
        fit_batch(KEY[None], IMAGE, CONFIG, devices=devices)


def test_a_listed_block_is_named_without_empty_brackets() -> None:
    params = nnx.to_pure_dict(initial_params(KEY, CONFIG, (8, 8, 3)))
    params["blocks"] = [params["blocks"][n] for n in sorted(params["blocks"])]
    with pytest.raises(ValueError, match=r"of the configured network: use the same model"):
        fit(KEY, IMAGE, CONFIG, params=params)


@pytest.mark.parametrize("default", ["cpu", jax.devices()[0]])
def test_a_default_device_changes_nothing(default: Any) -> None:
    expected = fit(KEY, IMAGE, CONFIG).logits
    with jax.default_device(default):
        placed = jax.device_put(IMAGE, jax.devices()[0])
        np.testing.assert_array_equal(fit(KEY, placed, CONFIG).logits, expected)


def test_what_the_caller_writes_to_later_does_not_change_a_state() -> None:
    image = IMAGE.copy()
    transforms = np.tile(np.eye(2, 3, dtype=np.float32), (1, 1, 1))
    expected = fit(KEY, image, CONFIG, transforms=transforms).logits
    result = fit(KEY, image, CONFIG, transforms=transforms)
    image[:], transforms[:] = 0, 7
    np.testing.assert_array_equal(result.logits, expected)
