"""SGSCN and DFC in JAX and in PyTorch: losses, one step, and a trajectory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")

from benchmarks.torch_reference import fit as torch_fit  # noqa: E402
from benchmarks.torch_reference import make_trainer  # noqa: E402
from benchmarks.torch_reference import sgscn as theirs  # noqa: E402
from s3net_jax import fitting  # noqa: E402
from s3net_jax.config import Config  # noqa: E402
from s3net_jax.methods import responses as ours  # noqa: E402
from s3net_jax.presets import preset  # noqa: E402
from tests.parity.sides import find_largest_errors  # noqa: E402

SHAPE = (20, 28)
STEPS = 10
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgscn": ("sgscn", {}),
    "sgscn with softmax centres": ("sgscn", {"center": "softmax", "weight_center": 0.5}),
    "dfc": ("dfc", {}),
}


def _make_config(name: str, dtype: str, method: dict[str, Any] | None = None, **fit: Any) -> Config:
    return preset(name).replace(
        model={"channels": 8, "dtype": dtype},
        method=method or {},
        fit={"steps": STEPS, "stop_labels": 0, **fit},
    )


def _make_image() -> np.ndarray:
    random = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = (y - 9) ** 2 + (x - 11) ** 2 < 25
    image = np.where(disc[..., None], (0.3, 0.2, 0.15), (0.8, 0.65, 0.6))
    return np.clip(image + random.normal(0, 0.08, image.shape), 0, 1)


def _draw_params(config: Config) -> Any:
    """Draw parameters as a nested dict of float64 arrays, none at a special value."""
    random = np.random.default_rng(1)
    single = config.replace(model={"dtype": "float32"})
    start = fitting.initial_params(jax.random.key(0), single, (*SHAPE, 3))
    return jax.tree.map(
        lambda a: np.asarray(a, np.float64) + random.normal(0, 0.05, a.shape),
        nnx.to_pure_dict(start),
    )


def _to_torch(params: Any) -> dict[str, np.ndarray]:
    """Rename our parameters, or their gradients, and order the axes of kernels for PyTorch."""
    state = {}
    for path, value in jax.tree_util.tree_leaves_with_path(params):
        *module, leaf = jax.tree_util.keystr(path, simple=True, separator=".").split(".")
        value = np.asarray(value)
        if leaf == "kernel":
            value = value if value.ndim == 4 else value[None, None]
            value = value.transpose(3, 2, 0, 1)
        state[".".join([*module, "bias" if leaf == "bias" else "weight"])] = value
    return state


LOSSES = {
    "continuity": (ours.compute_continuity, theirs.continuity_loss),
    "softmax centres": (
        lambda r: ours.compute_center_term(r, softmax=True),
        lambda r: theirs.center_loss(r, softmax=True),
    ),
    "released centres": (
        lambda r: ours.compute_center_term(r, softmax=False),
        lambda r: theirs.center_loss(r, softmax=False),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_losses(name, dtype):
    our_loss, their_loss = LOSSES[name]
    r = np.random.default_rng(0).normal(0.5, 1, (2, 13, 17, 6))
    r[0, :4] = 0.25  # equal neighbours, where the derivative of |x| is a choice
    tolerance = 32 * np.sqrt(r.size) * np.finfo(dtype).eps
    leaf = torch.as_tensor(r).to(getattr(torch, dtype)).requires_grad_()
    expected = their_loss(leaf.permute(0, 3, 1, 2))
    expected.backward()
    with jax.enable_x64(dtype == "float64"):
        value, gradient = jax.jit(jax.value_and_grad(our_loss))(jnp.asarray(r, dtype))
        assert value.dtype == dtype
    assert leaf.grad is not None
    np.testing.assert_allclose(value, expected.item(), rtol=tolerance)
    scale = float(leaf.grad.abs().max())
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=0, atol=tolerance * scale)


@pytest.mark.slow
@pytest.mark.parametrize("case", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_step(case, dtype):
    name, method = METHODS[case]
    config = _make_config(name, dtype, method)
    params, image = _draw_params(config), _make_image()
    trainer = make_trainer(image, config, state=_to_torch(params))
    loss, terms, labels = trainer.compute_loss(None)
    loss.backward()
    gradients = {f"gradient of {n}": p.grad for n, p in trainer.model.named_parameters()}
    expected = {
        "logits": trainer.compute_logits().permute(0, 2, 3, 1).detach().numpy(),
        "label map": labels.numpy(),
        **{n: a.numpy() for n, a in {**terms, **gradients}.items() if a is not None},
    }
    with jax.enable_x64(dtype == "float64"):
        graph = fitting.make_graph(config, (*SHAPE, 3))
        images = jnp.asarray(image[None], dtype)

        @jax.jit
        def run(params: Any):
            def compute_loss(params: Any):
                model = nnx.merge(graph, nnx.State(params))
                inputs = fitting.StepInputs(images, fitting.hyperparameters(config))
                result = fitting.objective(model, inputs, config)
                return result.loss, result

            return jax.grad(compute_loss, has_aux=True)(params)

        gradient, result = run(jax.tree.map(lambda a: jnp.asarray(a, dtype), params))
    found = {"logits": result.logits, "label map": result.labels, "loss": result.loss}
    found |= {n: a for n, a in result.terms.items() if n in terms}
    found |= {f"gradient of {n}": a for n, a in _to_torch(gradient).items()}
    found = {n: np.asarray(a) for n, a in found.items()}
    assert set(found) == set(expected)
    assert len(np.unique(found["label map"])) > 3
    np.testing.assert_array_equal(found["label map"], expected["label map"])
    # Rounding errors of sums over all pixels and channels, through six layers and back.
    tolerance = 32 * np.sqrt(np.prod(SHAPE) * 8) * np.finfo(dtype).eps
    errors = find_largest_errors(found, expected)
    assert {n: error for n, error in errors.items() if not error <= tolerance} == {}


@pytest.mark.slow
@pytest.mark.parametrize("case", METHODS)
def test_trajectory(case):
    name, method = METHODS[case]
    config = _make_config(name, "float64", method)
    params, image = _draw_params(config), _make_image()
    reference = torch_fit(image, config, state=_to_torch(params))
    with jax.enable_x64(True):
        result = fitting.fit(jax.random.key(0), jnp.asarray(image), config, params=params)
    np.testing.assert_array_equal(result.history["labels"], reference.history["labels"])
    np.testing.assert_array_equal(result.labels, reference.labels)
    for term in set(reference.history) - {"labels"}:
        np.testing.assert_allclose(result.history[term], reference.history[term], rtol=1e-9)
    np.testing.assert_allclose(result.logits, reference.logits, rtol=0, atol=1e-8)
    trained = _to_torch(nnx.to_pure_dict(result.params))
    errors = find_largest_errors(trained, {n: a.numpy() for n, a in reference.state.items()})
    assert max(errors.values()) < 1e-8, errors


def test_early_stop_comes_at_the_same_step():
    config = _make_config("sgscn", "float64", stop_labels=6, stop_after=2)
    params, image = _draw_params(config), _make_image()
    reference = torch_fit(image, config, state=_to_torch(params))
    with jax.enable_x64(True):
        result = fitting.fit(jax.random.key(0), jnp.asarray(image), config, params=params)
    assert 2 <= reference.steps < STEPS
    assert result.steps == reference.steps
    np.testing.assert_allclose(result.logits, reference.logits, rtol=0, atol=1e-8)


def test_methods_without_a_reference_are_refused():
    with pytest.raises(ValueError, match="'slic-backprop' has no reference in PyTorch"):
        make_trainer(_make_image(), preset("slic-backprop"))
