"""The reference's formulations of an operator agree with each other and with plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch reference needs torch")

from benchmarks.torch_reference import alternatives  # noqa: E402
from benchmarks.torch_reference.deform import deform_conv2d  # noqa: E402
from benchmarks.torch_reference.depthwise import DepthwiseConv2d  # noqa: E402
from benchmarks.torch_reference.layout import to_format  # noqa: E402


def _random(*shape: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _deform_loops(x, offset, mask, weight) -> np.ndarray:
    n, c, h, w = x.shape
    size = weight.shape[-1]
    y = np.zeros((n, weight.shape[0], h, w))

    def at(i: int, r: int, q: int) -> np.ndarray:
        return x[i, :, r, q] if 0 <= r < h and 0 <= q < w else np.zeros(c)

    for i, r, q, tap in np.ndindex(n, h, w, size * size):
        v = r + tap // size - size // 2 + offset[i, 2 * tap, r, q]
        u = q + tap % size - size // 2 + offset[i, 2 * tap + 1, r, q]
        r0, q0 = math.floor(v), math.floor(u)
        a, b = v - r0, u - q0
        sample = (1 - a) * ((1 - b) * at(i, r0, q0) + b * at(i, r0, q0 + 1))
        sample = sample + a * ((1 - b) * at(i, r0 + 1, q0) + b * at(i, r0 + 1, q0 + 1))
        kernel = weight[:, :, tap // size, tap % size]
        y[i, :, r, q] += mask[i, tap, r, q] * (kernel @ sample)
    return y


def _deform_inputs(n: int, size: int, h: int = 6, w: int = 5):
    taps = size * size
    shapes = [(n, 4, h, w), (n, 2 * taps, h, w), (n, taps, h, w), (3, 4, size, size)]
    return [_random(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]


@pytest.mark.parametrize(("n", "size"), [(1, 3), (2, 3), (1, 5)])
@pytest.mark.parametrize("method", ["taps", "grid_sample", "torchvision"])
def test_deform_agrees_with_loops(method, n, size):
    if method == "torchvision":
        pytest.importorskip("torchvision")
    inputs = _deform_inputs(n, size)
    y = deform_conv2d(*inputs, method=method).detach().numpy()
    expected = _deform_loops(*(a.detach().numpy() for a in inputs))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", alternatives.__all__)
def test_deform_alternatives_agree(name):
    inputs = _deform_inputs(1, 3)
    y = getattr(alternatives, name)(*inputs)
    torch.testing.assert_close(y, deform_conv2d(*inputs), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n", [1, 2])
def test_deform_gradients(n):
    inputs = _deform_inputs(n, 3)
    weights = _random(n, 3, 6, 5, seed=9)
    gradients = [
        torch.autograd.grad((deform_conv2d(*inputs, method=method) * weights).sum(), inputs)
        for method in ("taps", "grid_sample")
    ]
    for ours, autograd in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, autograd, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(
        lambda *a: deform_conv2d(*a, method="taps"), _deform_inputs(1, 3, 3, 4)
    )


def test_deform_serves_an_image_one_pixel_wide():
    inputs = _deform_inputs(1, 3, 4, 1)
    y = deform_conv2d(*inputs).detach().numpy()
    expected = _deform_loops(*(a.detach().numpy() for a in inputs))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("h", "w"), [(24, 20), (13, 11)])
@pytest.mark.parametrize(("size", "dilation"), [(3, 1), (5, 1), (5, 2), (7, 3)])
def test_depthwise_methods_agree(size, dilation, h, w):
    layer = DepthwiseConv2d(4, size, dilation).double()
    results = []
    for method in ("native", "batched"):
        layer.method = method
        x = _random(2 if h == 24 else 1, 4, h, w).requires_grad_()
        y = layer(x)
        gradients = torch.autograd.grad((y * y).sum(), (x, layer.weight, layer.bias))
        results.append((y, *gradients))
    for native, batched in zip(*results, strict=True):
        torch.testing.assert_close(batched, native, rtol=1e-11, atol=1e-11)


def test_change_of_format_holds_for_the_gradient():
    x = _random(1, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = to_format(x, torch.contiguous_format)
    assert y.is_contiguous()
    assert torch.equal(y, x)
    (gradient,) = torch.autograd.grad((y * 2).sum(), x)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(gradient, torch.full_like(x, 2))
