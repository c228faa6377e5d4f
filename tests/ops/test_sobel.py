"""Sobel derivatives against SciPy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from s3net_jax.ops import sobel


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", [(2, 2, 1), (5, 4, 3), (2, 9, 2, 2)])
def test_against_scipy(shape):
    image = np.random.default_rng(0).random(shape)
    d, s = np.array([-1, 0, 1]), np.array([1, 2, 1])
    kernels = (np.outer(s, d), np.outer(d, s), np.outer(d, d))
    for actual, kernel in zip(sobel(jnp.asarray(image)), kernels, strict=True):
        full = kernel.reshape((1,) * (len(shape) - 3) + (3, 3, 1))
        expected = ndimage.correlate(image, full, mode="mirror")
        np.testing.assert_allclose(actual, expected, atol=1e-13)


def test_one_pixel_is_refused():
    with pytest.raises(ValueError, match="at least 2 pixels"):
        sobel(jnp.zeros((1, 5, 1)))
