"""No array is shared with another library or with the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.fitting import initial_params
from s3net_jax.interop import from_torch, to_torch
from tests.fakes import install_fit

CONFIG = s3.preset("released").replace(
    model={"channels": 4, "color": "released", "blocks": 1},
    fit={"steps": 1, "stop_labels": 0},
    input={"size": 16},
)
KEY = jax.random.key(0)
fit_batch: Callable[..., Any] = s3.fit_batch


def make_aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Random float32 where JAX may use NumPy's memory as its own: aligned to 64 bytes."""
    size = int(np.prod(shape)) * 4
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start : start + size].view(np.float32).reshape(shape)
    array[:] = np.random.default_rng(0).random(shape)
    return array


def names() -> dict[str, np.ndarray]:
    return to_torch(initial_params(KEY, CONFIG, (8, 8, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_parameters_from_torch_are_copies(library: str) -> None:
    state: dict[str, Any] = names()
    if library == "torch":
        torch = pytest.importorskip("torch")
        state = {name: torch.as_tensor(array) for name, array in state.items()}
    taken = from_torch(state)
    before = jax.tree.map(np.copy, taken)
    for tensor in state.values():
        tensor[...] = 7
    jax.tree.map(np.testing.assert_array_equal, before, taken)
    leaves = jax.tree.leaves(taken)
    assert len(leaves) == len(state)
    assert all(leaf.flags.owndata and leaf.flags.writeable for leaf in leaves)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_parameters_to_torch_are_copies(kind: Callable[..., Any]) -> None:
    params = jax.tree.map(kind, from_torch(names()))
    before = jax.tree.map(np.array, params)
    for array in to_torch(params).values():
        array[...] = 7
    jax.tree.map(np.testing.assert_array_equal, before, params)


@pytest.mark.slow
def test_what_a_fit_was_given_may_change_at_once() -> None:
    config = CONFIG.replace(fit={"steps": 3})
    image, matrices = make_aligned((16, 16, 3)), make_aligned((3, 2, 3))
    params = from_torch(to_torch(initial_params(KEY, config, (16, 16, 3))))
    key = np.asarray(jax.random.PRNGKey(3)).copy()
    options = {"params": params, "transforms": matrices}

    def run() -> Any:
        return s3.fit(key, image, config, **options)  # pyright: ignore[reportArgumentType]

    expected = jax.tree.map(np.array, run())
    result = run()
    for array in (image, matrices, key, *jax.tree.leaves(params)):
        array[...] = 7
    jax.tree.map(np.testing.assert_array_equal, expected, result)


@pytest.mark.slow
def test_a_batch_neither_writes_to_nor_shares_what_it_is_given() -> None:
    images = make_aligned((2, 16, 16, 3))
    before = images.copy()
    on_device = jnp.asarray(before)
    keys = jax.random.split(KEY, 2)
    result: Any = fit_batch(keys, images, CONFIG)
    np.testing.assert_array_equal(images, before)
    fit_batch(keys, on_device, CONFIG)
    np.testing.assert_array_equal(on_device, before)
    for leaf in jax.tree.leaves(result):
        leaf[...] = 0
    again: Any = fit_batch(keys, images, CONFIG)
    assert np.any(again.logits != 0) and np.any(images != 0)


@pytest.mark.parametrize("kind", ["uint8", "float32", "pil", "jax"])
def test_segment_and_prepare_share_nothing_with_the_image(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    install_fit(monkeypatch)
    config = s3.preset("fast").replace(input={"size": 16}, fit={"steps": 2, "record_labels": True})
    pixels = make_aligned((16, 16, 3)).round(1)
    if kind in ("uint8", "pil"):
        pixels = (pixels * 255).astype(np.uint8)
    before = pixels.copy()
    made: dict[str, Callable[[Any], Any]] = {"pil": PilImage.fromarray, "jax": jnp.asarray}
    given = made.get(kind, lambda a: a)(pixels)
    prepared = s3.prepare(given, config)
    result = s3.segment(given, config=config)
    kept = prepared.copy(), result.labels.copy(), result.mask.copy()
    pixels[...] = 0
    for now, then in zip((prepared, result.labels, result.mask), kept, strict=True):
        np.testing.assert_array_equal(now, then)
    pixels[...] = before
    prepared[...] = result.labels[...] = result.mask[...] = 1
    assert result.label_maps is not None
    for own in (result.label_maps, *result.history.values()):
        own[...] = 1
    np.testing.assert_array_equal(np.asarray(given), before)
    np.testing.assert_array_equal(s3.prepare(given, config), kept[0])
    np.testing.assert_array_equal(s3.segment(given, config=config).labels, kept[1])
