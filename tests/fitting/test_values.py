"""Compare a float64 fit to a plain implementation of all terms, gradients, updates and draws."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array
from jax.scipy.ndimage import map_coordinates

from s3net_jax.config import AffineConfig, Config, LossConfig, ModelConfig
from s3net_jax.fitting import fit, initial_params
from s3net_jax.nn import S3Net
from s3net_jax.ops import draw_affine

pytestmark = pytest.mark.usefixtures("x64")

KEY = jax.random.key(11)
WEIGHTS = {"weight_ce": 1.3, "weight_affine": 0.7, "weight_spatial": 0.4}
FIXED = {"rotation": (90, 90), "translation": (0, 0), "scale": (1, 1), "shear": (0, 0)}


def small(steps: int = 3, **loss: Any) -> Config:
    """Use plain convolutions: other tests cover the network, which both sides share here."""
    return Config().replace(
        model={"channels": 5, "block": "conv", "deform": "none", "dtype": "float64"},
        loss={**WEIGHTS, **loss},
        fit={"steps": steps, "learning_rate": 0.2, "momentum": 0.8},
    )


def make_image(shape: tuple[int, int]) -> Array:
    return jnp.asarray(np.random.default_rng(0).random((*shape, 3)))


def slow_sobel(maps: Array) -> list[Array]:
    """Compute d/dx, d/dy and d²/dxdy of (H, W, K) maps, with signs."""
    a = jnp.pad(maps, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    up, middle, down = a[:-2], a[1:-1], a[2:]
    smooth, slope = up + 2 * middle + down, down - up
    along = slope[:, :-2] + 2 * slope[:, 1:-1] + slope[:, 2:]
    return [smooth[:, 2:] - smooth[:, :-2], along, slope[:, 2:] - slope[:, :-2]]


def slow_sources(matrix: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    centre = [(side - 1) / 2 for side in shape]
    y, x = (a - c for a, c in zip(np.mgrid[: shape[0], : shape[1]], centre, strict=True))
    found = [row[0] * y + row[1] * x + row[2] for row in matrix]
    return found[0] + centre[0], found[1] + centre[1]


def slow_warp(maps: Array, matrix: Array) -> Array:
    sources = slow_sources(matrix, maps.shape[:2])
    one = partial(map_coordinates, coordinates=sources, order=1, mode="nearest")
    return jax.vmap(one, in_axes=2, out_axes=2)(maps)


def chosen_cost(logits: Array, labels: Array) -> Array:
    log_p = logits - jax.scipy.special.logsumexp(logits, axis=-1, keepdims=True)
    return -jnp.sum(log_p * (labels[..., None] == jnp.arange(logits.shape[-1])), -1)


def slow_terms(
    net: S3Net, image: Array, config: LossConfig, matrix: Array, palette: Array
) -> tuple[dict[str, Array], Array]:
    features, entering = net.encode(image[None])
    logits = net.decode(features, image[None])[0]
    labels = jnp.argmax(jax.lax.stop_gradient(logits), -1)
    if config.spatial == "soft":
        x, y, xy = (jnp.abs(d) for d in slow_sobel(jax.nn.softmax(logits)))
    else:
        x, y, xy = slow_sobel(palette[labels][..., None])
    edges = jnp.abs(x - y) + jnp.abs(x - xy) + jnp.abs(y - xy)

    if config.affine.apply_at == "input":
        second = net.auxiliary_logits(net.encode(slow_warp(image, matrix)[None])[0])[0]
    elif config.affine.apply_at == "features":
        moved = net.last_block(slow_warp(entering[0], matrix)[None])
        second = net.auxiliary_logits(moved)[0]
    else:
        second = slow_warp(net.auxiliary_logits(features)[0], matrix)
    height, width = labels.shape
    y, x = slow_sources(matrix, labels.shape)
    valid = (y > -1e-3) & (y < height - 1 + 1e-3) & (x > -1e-3) & (x < width - 1 + 1e-3)
    row, column = jnp.rint(y).astype(int), jnp.rint(x).astype(int)
    moved = labels[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
    affine = jnp.sum(chosen_cost(second, moved) * valid) / jnp.sum(valid)
    terms = {
        "ce": jnp.mean(chosen_cost(logits, labels)),
        "affine": affine,
        "spatial": jnp.mean(jnp.sum(edges, -1)),
    }
    return terms, labels


@cache
def slow_gradient(model: ModelConfig, config: LossConfig, shape: tuple[int, int]) -> Any:
    graph = nnx.graphdef(S3Net(model, shape, rngs=nnx.Rngs(0)))

    def loss(params: Any, image: Array, matrix: Array, palette: Array) -> Any:
        net = nnx.merge(graph, params)
        terms, labels = slow_terms(net, image, config, matrix, palette)
        total = sum(WEIGHTS[f"weight_{name}"] * term for name, term in terms.items())
        return total, ({"loss": total, **terms}, labels)

    return jax.jit(jax.grad(loss, has_aux=True))


def slow_fit(key: Array, image: Array, config: Config) -> tuple[Any, dict[str, list[Any]]]:
    """Return the final parameters and the history."""
    shape = (image.shape[0], image.shape[1])
    key_init, key_transform, key_palette = jax.random.split(key, 3)
    params = initial_params(key_init, config, (*shape, 3))
    colors = np.asarray(jax.random.randint(key_palette, (config.model.channels, 3), 0, 256))
    palette = jnp.asarray(colors @ [0.299, 0.587, 0.114] / 255)
    affine = AffineConfig(apply_at=config.loss.affine.apply_at)
    loss = LossConfig(spatial=config.loss.spatial, affine=affine)
    gradient_of = slow_gradient(config.model, loss, shape)
    velocity = jax.tree.map(jnp.zeros_like, params)
    history: dict[str, list[Any]] = {}
    for step in range(config.fit.steps):
        matrix = draw_affine(
            jax.random.fold_in(key_transform, step), config.loss.affine, shape, float
        )
        gradient, (terms, labels) = gradient_of(params, image, matrix, palette)
        velocity = jax.tree.map(lambda v, g: config.fit.momentum * v + g, velocity, gradient)
        params = jax.tree.map(lambda p, v: p - config.fit.learning_rate * v, params, velocity)
        for name, value in {**terms, "labels": len(np.unique(labels))}.items():
            history.setdefault(name, []).append(value)
    return params, history


OBJECTIVES: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "features": ((9, 12), {}),
    "input": ((9, 12), {"affine": {"apply_at": "input"}}),
    "hard, logits": ((12, 9), {"spatial": "hard", "affine": {"apply_at": "logits"}}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_fit_is_gradient_descent_with_momentum_on_the_sum_of_three_terms(name: str) -> None:
    shape, loss = OBJECTIVES[name]
    config, image = small(**loss), make_image(OBJECTIVES[name][0])
    params, history = slow_fit(KEY, image, config)
    result = fit(KEY, image, config)
    assert set(result.history) == set(history)
    for term, values in history.items():
        np.testing.assert_allclose(result.history[term], values, rtol=1e-9)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-8), result.params, params)
    net = nnx.merge(nnx.graphdef(S3Net(config.model, shape, rngs=nnx.Rngs(0))), params)
    logits = net.decode(net.encode(image[None])[0], image[None])[0]
    np.testing.assert_allclose(result.logits, logits, atol=1e-7)
    np.testing.assert_array_equal(result.labels, np.argmax(logits, -1))
    assert result.labels.shape == shape


# Ranges of transforms of the logits: the first moves logits and labels alike, so that a fit need
# not compute it; each of the others differs from it in one respect.
RANGES: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "quarter turn": ((10, 10), {}),
    "half turn": ((10, 10), {"rotation": (180, 180)}),
    "quarter turn of an oblong": ((10, 12), {}),
    "turn by 30°": ((10, 10), {"rotation": (30, 30)}),
    "any turn up to a quarter": ((10, 10), {"rotation": (0, 90)}),
    "shift": ((10, 10), {"translation": (0, 0.3)}),
    "zoom": ((10, 10), {"scale": (1, 1.5)}),
    "shear": ((10, 10), {"shear": (0, 30)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RANGES)
def test_transforms_that_need_not_be_computed_are_those_that_change_nothing(name: str) -> None:
    shape, changes = RANGES[name]
    config = small(steps=2, affine={"apply_at": "logits", **FIXED, **changes})
    image = make_image(shape)
    result = fit(KEY, image, config)
    _, history = slow_fit(KEY, image, config)
    np.testing.assert_allclose(result.history["affine"], history["affine"], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [32, 33, 70])
def test_labels_are_counted_whatever_their_number(channels: int) -> None:
    config = small(steps=2).replace(
        model={"channels": channels}, fit={"record_labels": True, "learning_rate": 0.01}
    )
    result = fit(KEY, make_image((24, 24)), config)
    maps = np.asarray(result.label_maps)
    assert maps.shape == (2, 24, 24)
    assert maps.dtype == np.int16
    assert maps.max() >= channels - 3
    counts = [len(np.unique(one)) for one in maps]
    assert min(counts) > 0.8 * channels
    np.testing.assert_array_equal(result.history["labels"], counts)
    assert result.history["labels"].dtype == np.int32
    assert result.steps.dtype == np.int32


@pytest.mark.slow
def test_extra_losses_count_once_beside_the_weighted_terms() -> None:
    config, image = small(steps=1), make_image((9, 12))

    def term(logits: Array, labels: Array, seen: Array) -> Array:
        return jnp.mean(logits[..., 0] ** 2) + jnp.mean(seen) + jnp.mean(labels == 0)

    plain, with_term = fit(KEY, image, config), fit(KEY, image, config, extra_loss=term)
    start = fit(KEY, image, config.replace(fit={"learning_rate": 1e-300}))
    first = jnp.argmax(start.logits, -1)
    expected = term(start.logits, first, image)
    np.testing.assert_allclose(with_term.history["extra"], [expected], rtol=1e-9)
    np.testing.assert_allclose(
        with_term.history["loss"], plain.history["loss"] + expected, rtol=1e-12
    )
