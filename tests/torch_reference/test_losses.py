"""The reference's warp and losses against SciPy and plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch", reason="the PyTorch reference needs torch")

from benchmarks.torch_reference.losses import (  # noqa: E402
    affine_loss,
    hard_spatial_loss,
    sobel,
    spatial_loss,
)
from benchmarks.torch_reference.warp import affine_matrix, warp, warp_labels  # noqa: E402

H, W = 9, 12


def _maps(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(H, W, 5))


def _planes(maps: np.ndarray):
    return torch.as_tensor(maps).permute(2, 0, 1)[None]


def _source(matrix: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:H, :W].astype(float)
    cy, cx = (H - 1) / 2, (W - 1) / 2
    places = np.einsum("ij,jhw->ihw", matrix, np.stack([y - cy, x - cx, np.ones((H, W))]))
    return places + np.array([cy, cx])[:, None, None]


MATRIX = affine_matrix(20.0, (1.0, -0.5), 1.1, 8.0)


def test_matrix_turns_counter_clockwise():
    image = np.zeros((5, 5, 1))
    image[2, 4] = 1  # right of the centre, which a quarter turn moves above it
    turned = warp(_planes(image), affine_matrix(90.0, (0.0, 0.0), 1.0, 0.0))
    np.testing.assert_allclose(turned[0, 0].numpy(), np.rot90(image[..., 0]), atol=1e-12)


def test_matrix_moves_scales_and_shears():
    forward = np.linalg.inv(np.vstack([MATRIX.numpy(), [0, 0, 1]]))
    angle, lean = np.radians(20.0), np.tan(np.radians(8.0))
    y, x = 2.0, 3.0
    x, y = 1.1 * x, 1.1 * y
    x = x + lean * y
    x, y = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    np.testing.assert_allclose(forward @ [2.0, 3.0, 1.0], [y + 1.0, x - 0.5, 1], atol=1e-12)


def test_warp_is_bilinear_with_clamped_coordinates():
    maps, places = _maps(), _source(MATRIX.numpy())
    moved = warp(_planes(maps), MATRIX)[0].permute(1, 2, 0).numpy()
    for k in range(maps.shape[-1]):
        expected = ndimage.map_coordinates(maps[..., k], places, order=1, mode="nearest")
        np.testing.assert_allclose(moved[..., k], expected, rtol=1e-10, atol=1e-10)


def test_warped_labels_and_affine_loss():
    labels = np.random.default_rng(1).integers(0, 5, (H, W))
    y, x = _source(MATRIX.numpy())
    rows = np.clip(np.rint(y), 0, H - 1).astype(int)
    columns = np.clip(np.rint(x), 0, W - 1).astype(int)
    inside = (y >= -1e-3) & (y <= H - 1 + 1e-3) & (x >= -1e-3) & (x <= W - 1 + 1e-3)
    moved, valid = warp_labels(torch.as_tensor(labels)[None], MATRIX)
    np.testing.assert_array_equal(moved[0], labels[rows, columns])
    np.testing.assert_array_equal(valid, inside)
    assert 0 < inside.sum() < inside.size

    logits = _maps(2)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log_p, labels[rows, columns][..., None], -1)[..., 0]
    loss = affine_loss(torch.as_tensor(logits)[None], torch.as_tensor(labels)[None], MATRIX)
    np.testing.assert_allclose(loss, -chosen[inside].mean(), rtol=1e-12)


def test_affine_loss_without_a_valid_pixel_is_zero():
    far = torch.tensor([[1.0, 0, 100], [0, 1, 0]], dtype=torch.float64)
    labels = torch.zeros(1, H, W, dtype=torch.long)
    assert affine_loss(torch.as_tensor(_maps())[None], labels, far) == 0


def _sobel(maps: np.ndarray) -> list[np.ndarray]:
    ramp, smooth = [-1, 0, 1], [1, 2, 1]
    derivatives = []
    for rows, columns in ((smooth, ramp), (ramp, smooth), (ramp, ramp)):
        d = ndimage.correlate1d(maps, rows, axis=0, mode="mirror")
        derivatives.append(ndimage.correlate1d(d, columns, axis=1, mode="mirror"))
    return derivatives


def test_sobel_agrees_with_scipy():
    maps = _maps()
    for ours, expected in zip(sobel(_planes(maps)), _sobel(maps), strict=True):
        np.testing.assert_allclose(ours[0].permute(1, 2, 0), expected, atol=1e-12)


def test_spatial_losses():
    maps = _maps()
    x, y, z = (np.abs(d) for d in _sobel(maps))
    total = np.abs(x - y) + np.abs(x - z) + np.abs(y - z)
    loss = spatial_loss(torch.as_tensor(maps)[None])
    np.testing.assert_allclose(loss, total.sum(-1).mean(), rtol=1e-12)

    labels = np.random.default_rng(1).integers(0, 5, (H, W))
    palette = np.random.default_rng(2).random(5)
    x, y, z = _sobel(palette[labels])
    expected = np.abs(y - x).mean() + np.abs(z - x).mean() + np.abs(z - y).mean()
    loss = hard_spatial_loss(torch.as_tensor(labels)[None], torch.as_tensor(palette))
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
