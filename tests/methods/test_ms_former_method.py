"""MS-Former as a method: its objective, its fits, and the sizes that it takes."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special

import s3net_jax as s3
from s3net_jax.methods import StepInputs, get_method
from tests.methods import slow_ms_former as slow

PRESET = s3.preset("ms-former")
CONFIG = PRESET.replace(
    input={"size": 33},
    model={"channels": 4, "blocks": 1},  # a second block would double the time to compile
    fit={"steps": 3, "stop_labels": 0},
)
KEY = jax.random.key(0)
fit: Any = s3.fit
fit_batch: Any = s3.fit_batch


@pytest.fixture
def image(picture: np.ndarray) -> np.ndarray:
    return s3.prepare(picture, CONFIG)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_objective_is_the_weighted_sum_of_three_slow_losses() -> None:
    config = CONFIG.replace(
        model={"channels": 3, "dtype": "float64"},
        loss={"weight_ce": 0.7},
        method={"weight_inter": 2, "weight_intra": 1.2},
    )
    method: Any = get_method("ms-former")
    images = np.random.default_rng(0).random((1, 33, 65, 3))
    module = method.build(config, (33, 65, 3), nnx.Rngs(params=0))
    graph, state = nnx.split(module, nnx.Param)
    # The gradient by the patches is small at the start: a larger projection makes it count.
    state = jax.tree.map(lambda leaf: 3 * leaf, state)
    values = jax.tree.map(np.asarray, nnx.to_pure_dict(state))
    inputs = StepInputs(jnp.asarray(images), s3.hyperparameters(config))

    def compute_slowly(values: slow.Tree, given: np.ndarray | None = None) -> Any:
        logits, small, large = slow.apply_network(images, values)
        labels = np.argmax(logits, -1) if given is None else given
        log = special.log_softmax(logits, -1)
        attention = slow.compare_patches(
            slow.normalise_batch(logits, values["norm"]), values["patches"]
        )
        terms = {
            "ce": -np.mean(np.take_along_axis(log, labels[..., None], -1)),
            "inter": slow.compute_inter_scale_loss(small, large),
            "intra": slow.compute_intra_scale_loss(attention),
        }
        return 0.7 * terms["ce"] + 2 * terms["inter"] + 1.2 * terms["intra"], terms, labels, logits

    def compute(state: nnx.State) -> Any:
        result = method.objective(nnx.merge(graph, state), inputs, config)
        return result.loss, result

    gradient, result = jax.jit(jax.grad(compute, has_aux=True))(state)
    loss, terms, labels, logits = compute_slowly(values)
    np.testing.assert_allclose(result.loss, loss, rtol=1e-9)
    assert list(result.terms) == [*method.terms]
    for name, value in terms.items():
        np.testing.assert_allclose(result.terms[name], value, rtol=1e-9)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.logits, logits, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(
        jax.jit(lambda state: method.compute_logits(nnx.merge(graph, state), images, config))(
            state
        ),
        logits,
        rtol=1e-8,
        atol=1e-9,
    )
    leaves, structure = jax.tree.flatten(values)
    along = [np.random.default_rng(n).normal(0, 1, leaf.shape) for n, leaf in enumerate(leaves)]

    def shift(step: float) -> float:
        moved = [leaf + step * a for leaf, a in zip(leaves, along, strict=True)]
        return compute_slowly(jax.tree.unflatten(structure, moved), labels)[0]

    numeric = (shift(1e-6) - shift(-1e-6)) / 2e-6
    slopes = jax.tree.leaves(nnx.to_pure_dict(gradient))
    analytic = sum((s * a).sum() for s, a in zip(slopes, along, strict=True))
    np.testing.assert_allclose(analytic, numeric, rtol=1e-5, atol=1e-7)


def test_preset() -> None:
    assert (PRESET.input.size, PRESET.input.aspect) == (257, "square")
    assert (PRESET.model.channels, PRESET.model.blocks) == (100, 2)
    numbers = s3.hyperparameters(PRESET)
    assert (numbers.weight_ce, numbers.learning_rate, numbers.momentum) == (1, 0.1, 0.9)
    assert numbers.own == {"weight_inter": 1.5, "weight_intra": 1.3}
    drawn = PRESET.replace(**s3.config.parse_overrides(["method.weight_inter=2"]))
    assert drawn.method.weight_inter == 2  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.slow
def test_fits_of_a_batch_are_single_fits_and_repeat_exactly(image: np.ndarray) -> None:
    keys = jax.random.split(KEY, 2)
    hyper = s3.grid(CONFIG, weight_inter=(1.5, 2), weight_intra=(1.3,))
    both, again = (fit_batch(keys, image, CONFIG, hyper=hyper) for _ in range(2))
    compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
    compiled.clear_cache()
    for n, weight in enumerate((1.5, 2)):
        config = CONFIG.replace(method={"weight_inter": weight})
        one, same = (fit(keys[n], image, config) for _ in range(2))
        assert set(one.history) == {"loss", "ce", "inter", "intra", "labels"}
        np.testing.assert_allclose(one.logits, both.logits[n], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(one.history["loss"], both.history["loss"][n], rtol=1e-4)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True):
            np.testing.assert_array_equal(a, b)
    assert compiled._cache_size() == 1, "the loss weights are dynamic"
    np.testing.assert_array_equal(both.logits, again.logits)
    assert np.all(np.asarray(both.history["intra"]) == 0), "there is a single patch"


@pytest.mark.slow
def test_labels_become_fewer_and_the_losses_smaller(picture: np.ndarray) -> None:
    config = CONFIG.replace(input={"size": 65}, model={"channels": 12}, fit={"steps": 12})
    result = fit(KEY, s3.prepare(picture, config), config)
    history = {name: np.asarray(values) for name, values in result.history.items()}
    assert history["labels"][0] > 6 > history["labels"][-1]
    # Weights of a softmax over 4 patches that hardly differ: A ≈ 1/4, so the loss ≈ 2·(3/4)/4.
    np.testing.assert_allclose(history["intra"][0], 0.375, atol=0.1)
    for name in ("loss", "ce", "inter"):
        assert history[name][-1] < 0.5 * history[name][0]
    total = history["ce"] + 1.5 * history["inter"] + 1.3 * history["intra"]
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)


@pytest.mark.slow
def test_a_picture_is_segmented(picture: np.ndarray) -> None:
    result = s3.segment(picture, config=CONFIG)
    assert result.labels.shape == result.mask.shape == picture.shape[:2]


@pytest.mark.parametrize(
    ("size", "choices"), [(256, "225 or 257"), (16, "33"), (34, "33 or 65"), (4096, "4065")]
)
def test_sizes_without_whole_patches_are_refused(size: int, choices: str) -> None:
    with pytest.raises(s3.ConfigError) as error:
        PRESET.replace(input={"size": size})
    assert str(error.value) == (
        f"input.size must be 32·n + 1 for the method ms-former, got {size}: use {choices}."
    )


def test_other_mistakes_are_named() -> None:
    with pytest.raises(s3.ConfigError, match=r"^input\.aspect=keep .* use input\.aspect=square\.$"):
        PRESET.replace(input={"aspect": "keep"})
    with pytest.raises(s3.ConfigError, match=r"model\.deform=free has no effect on the method ms-"):
        PRESET.replace(model={"deform": "free"})
    for shape, near in [((256, 250), "257×257"), ((33, 9), "33×33"), ((48, 65), "33×65")]:
        given = "×".join(map(str, shape))
        with pytest.raises(ValueError, match=f"got {given}: resize the image to {near}\\.$"):
            fit(KEY, np.zeros((*shape, 3), np.float32), CONFIG)


def test_a_rectangular_image_of_whole_patches_is_fitted() -> None:
    image = np.random.default_rng(0).random((33, 65, 3), np.float32)
    result = jax.eval_shape(lambda key, image: fit(key, image, CONFIG), KEY, image)
    assert result.logits.shape == (33, 65, 4)
