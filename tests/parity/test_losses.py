"""Each loss by itself, value and gradient; affine matrices and warps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")

from benchmarks.torch_reference import losses as theirs  # noqa: E402
from benchmarks.torch_reference import warp as their_warp  # noqa: E402
from s3net_jax import losses as ours  # noqa: E402
from s3net_jax import ops  # noqa: E402

SHAPE = (13, 17, 6)
MATRIX = their_warp.affine_matrix(23.7, (1.31, -0.77), 1.07, 6.3).numpy()


def _logits(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (1, *SHAPE))


def _labels(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SHAPE[-1], (1, *SHAPE[:2]))


def _assert_same(our_loss, their_loss, logits: np.ndarray, dtype: str) -> None:
    """Value and gradient of two functions of logits."""
    tolerance = 16 * np.sqrt(logits.size) * np.finfo(dtype).eps
    leaf = torch.as_tensor(logits).to(getattr(torch, dtype)).requires_grad_()
    expected = their_loss(leaf)
    expected.backward()
    with jax.enable_x64(dtype == "float64"):
        value, gradient = jax.jit(jax.value_and_grad(our_loss))(jnp.asarray(logits, dtype))
        assert value.dtype == dtype
    assert leaf.grad is not None
    np.testing.assert_allclose(value, expected.item(), rtol=tolerance)
    scale = float(leaf.grad.abs().max())
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cross_entropy(dtype):
    def their_loss(logits):
        return torch.nn.functional.cross_entropy(logits.flatten(0, 2), logits.argmax(-1).flatten())

    _assert_same(
        lambda a: ours.cross_entropy(a, ours.pseudo_label(a)), their_loss, _logits(), dtype
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_spatial_consistency(dtype):
    _assert_same(
        ours.spatial_consistency,
        lambda a: theirs.spatial_loss(a.softmax(-1)),
        _logits(),
        dtype,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_affine_consistency(dtype):
    labels = _labels()

    def our_loss(logits):
        matrix = jnp.asarray(MATRIX, dtype)
        moved = ops.warp_labels(jnp.asarray(labels), matrix)
        return ours.affine_consistency(logits, moved, ops.warp_valid(matrix, SHAPE[:2]))

    def their_loss(logits):
        matrix = torch.as_tensor(MATRIX).to(logits.dtype)
        return theirs.affine_loss(logits, torch.as_tensor(labels), matrix)

    _assert_same(our_loss, their_loss, _logits(), dtype)


@pytest.mark.slow
def test_hard_spatial_consistency(x64):
    labels, palette = _labels(), np.random.default_rng(2).random(SHAPE[-1])
    expected = theirs.hard_spatial_loss(torch.as_tensor(labels), torch.as_tensor(palette))
    value = ours.hard_spatial_consistency(jnp.asarray(labels), jnp.asarray(palette))
    np.testing.assert_allclose(value, expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_warp(dtype):
    weights = _logits(3)

    def their_loss(image):
        matrix = torch.as_tensor(MATRIX).to(image.dtype)
        moved = their_warp.warp(image.permute(0, 3, 1, 2), matrix).permute(0, 2, 3, 1)
        return (moved * torch.as_tensor(weights).to(image.dtype)).sum()

    def our_loss(image):
        return jnp.sum(ops.warp(image, jnp.asarray(MATRIX, dtype)) * weights.astype(dtype))

    _assert_same(our_loss, their_loss, _logits(), dtype)


@pytest.mark.parametrize(
    ("rotation", "translation", "scale", "shear"),
    [(90.0, (0.0, 0.0), 1.0, 0.0), (-31.0, (2.5, -4.0), 1.2, 9.0), (200.0, (0.0, 1.0), 0.8, -20.0)],
)
def test_affine_matrix(x64, rotation, translation, scale, shear):
    expected = their_warp.affine_matrix(rotation, translation, scale, shear)
    arguments = (jnp.asarray(a, float) for a in (rotation, translation, scale, shear))
    np.testing.assert_allclose(ops.affine_matrix(*arguments), expected, rtol=0, atol=1e-14)
