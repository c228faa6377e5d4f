"""Gated inception with a local convolution for each branch, against slow NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels as k
from tests.kernels import base

pytestmark = pytest.mark.usefixtures("x64")

IMPLEMENTATIONS = ["reference", *base.list_available("gated_inception")]
# Shapes with local kernels, branches' kernels and dilations: odd sides, kernels larger than the
# image, one branch, and a single pixel.
CASES: dict[str, Any] = {
    "text": ((2, 9, 7, 3), (1, 3, 5), (3, 5, 7), (1, 2, 3)),
    "two branches": ((1, 5, 11, 4), (3, 1), (5, 3), (2, 1)),
    "one branch": ((1, 4, 3, 2), (5,), (7,), (3,)),
    "one pixel": ((1, 1, 1, 2), (3, 3), (3, 5), (1, 2)),
}


def draw(case: str, seed: int = 0) -> tuple[Any, ...]:
    """Draw the operator's arguments, with a residual, and a cotangent as the last one."""
    shape, locals_, sizes, _ = CASES[case]
    random = np.random.default_rng(seed)
    channels, normal = shape[3], lambda *s: random.normal(0, 1, s)
    return (
        normal(*shape),
        tuple(normal(s, s, channels) for s in locals_),
        tuple(normal(channels) for _ in locals_),
        tuple(normal(s, s, channels) for s in sizes),
        tuple(normal(channels) for _ in sizes),
        normal(len(sizes) * channels, channels),
        normal(channels),
        normal(*shape),
        normal(*shape),
    )


def list_taps(shape: tuple[int, ...], w: np.ndarray, dilation: int):
    """Yield a tap, and the slices of output and input that it connects."""
    height, width = shape[1:3]
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            down, right = dilation * (i - w.shape[0] // 2), dilation * (j - w.shape[1] // 2)
            rows = range(max(0, -down), min(height, height - down))
            columns = range(max(0, -right), min(width, width - right))
            for row in rows:
                for column in columns:
                    yield (i, j), (row, column), (row + down, column + right)


def convolve(x, w, b, dilation):
    y = np.zeros_like(x) + b
    for tap, (r, c), (p, q) in list_taps(x.shape, w, dilation):
        y[:, r, c] += x[:, p, q] * w[tap]
    return y


def convolve_back(x, w, dilation, g):
    """The gradients of :func:`convolve` by x, w and b."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for tap, (r, c), (p, q) in list_taps(x.shape, w, dilation):
        dx[:, p, q] += g[:, r, c] * w[tap]
        dw[tap] += (g[:, r, c] * x[:, p, q]).sum(0)
    return dx, dw, g.sum((0, 1, 2))


def compute(case: str, x, local_w, local_b, weights, biases, mix_w, mix_b, residual, g):
    """The value, then the gradient of every array, in the order of the arguments."""
    dilations, channels = CASES[case][3], x.shape[3]
    inner = [convolve(x, w, b, 1) for w, b in zip(local_w, local_b, strict=True)]
    outer = [
        convolve(t, w, b, d) for t, w, b, d in zip(inner, weights, biases, dilations, strict=True)
    ]
    branches = np.concatenate(outer, -1)
    gate = branches @ mix_w + mix_b
    dgate, dx = g * x, g * gate
    dbranches = dgate @ mix_w.T
    of_locals, of_branches = [], []
    for n, (t, w, d) in enumerate(zip(inner, weights, dilations, strict=True)):
        own = dbranches[..., n * channels : (n + 1) * channels]
        dt, *of_branch = convolve_back(t, w, d, own)
        more, *of_local = convolve_back(x, local_w[n], 1, dt)
        dx = dx + more
        of_locals.append(of_local)
        of_branches.append(of_branch)
    dmix_w = np.einsum("nhwk,nhwc->kc", branches, dgate)
    of_parameters = [
        [pair[n] for pair in both] for both in (of_locals, of_branches) for n in (0, 1)
    ]
    flat = [array for arrays in of_parameters for array in arrays]
    return [x * gate + residual, dx, *flat, dmix_w, dgate.sum((0, 1, 2)), g]


def run(case: str, implementation: str):
    def call(*args):
        return k.gated_inception(*args, dilations=CASES[case][3], implementation=implementation)

    def both(*args):
        *args, g = args
        y, pull = jax.vjp(call, *args)
        return [y, *jax.tree.leaves(pull(g))]

    return both


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case, implementation):
    args = draw(case)
    actual, expected = jax.jit(run(case, implementation))(*args), compute(case, *args)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12 * max(1, np.abs(e).max()))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_images_with_weights_of_their_own(implementation):
    every = [draw("text", seed) for seed in range(3)]
    args = jax.tree.map(lambda *a: np.stack(a), *every)
    actual = jax.jit(jax.vmap(run("text", implementation)))(*args)
    expected = [np.stack(a) for a in zip(*(compute("text", *e) for e in every), strict=True)]
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12 * max(1, np.abs(e).max()))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_equal_local_convolutions_are_a_shared_one(implementation):
    x, local_w, local_b, *rest = draw("text")[:-1]
    options: Any = {"dilations": (1, 2, 3), "implementation": implementation}
    shared = k.gated_inception(x, local_w[2], local_b[2], *rest, **options)
    own = k.gated_inception(x, [local_w[2]] * 3, [local_b[2]] * 3, *rest, **options)
    np.testing.assert_allclose(own, shared, rtol=0, atol=1e-12 * np.abs(shared).max())


@pytest.mark.parametrize(
    ("local_w", "local_b", "message"),
    [
        ([(3, 3, 2)], (2,), "local_b is one array, but the other of local_w and local_b is a list"),
        ((3, 3, 2), [(2,)], "local_w is one array"),
        ([(3, 3, 2)] * 2, [(2,)] * 2, "local_w has 2 entries, but there are 1 branches"),
        ([(3, 3, 2)], [], "local_b has 0 entries"),
        ([(3, 2, 2)], [(2,)], r"\(local\[0\]\) has a 3×2 kernel"),
        ([(3, 3, 2)], [(3,)], r"b \(local\[0\]\)"),
    ],
)
def test_mistakes_are_named(local_w, local_b, message):
    def make(shape):
        return [jnp.ones(s) for s in shape] if isinstance(shape, list) else jnp.ones(shape)

    one = jnp.ones((1, 1, 2))
    with pytest.raises(ValueError, match=message):
        k.gated_inception(
            jnp.ones((1, 4, 4, 2)),
            make(local_w),
            make(local_b),
            [one],
            [jnp.ones(2)],
            jnp.ones((2, 2)),
            jnp.ones(2),
            dilations=[1],
        )
