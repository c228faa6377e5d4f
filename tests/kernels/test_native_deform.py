"""The CPU's deformable convolution where its bands of rows meet: offsets that reach far."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from s3net_kernels._native import unavailable
from s3net_kernels.deform_conv2d.arg_specs import spec
from tests.kernels import base

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

TALL = spec((2, 70, 6, 5), 6)


def _run(args, cotangent):
    return base.value_and_gradients(base.public(TALL, "native"))(cotangent, *args)


@pytest.mark.slow
@pytest.mark.parametrize("reach", [3, 30, 1000])
def test_far_offsets(reach):
    """Taps that leave their band's window, or the image, count like any other."""
    x, offset, *rest = TALL.make()
    args = (x, (offset * (reach / 1.5)).astype(np.float32), *rest)
    cotangent = base.make_cotangent(TALL, args)
    base.assert_close(TALL, _run(args, cotangent), base.reference(TALL, cotangent, args), "float32")


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e30, -3e38])
def test_endless_offsets(value):
    """Coordinates beyond any integer lie outside the image."""
    x, offset, *rest = TALL.make()
    offset[:, ::3] = value
    args = (x, offset, *rest)
    cotangent = base.make_cotangent(TALL, args)
    near = np.where(np.abs(offset) > 1000, np.float32(1000) * np.sign(offset), offset)
    actual = _run(args, cotangent)
    expected = _run((x, near.astype(np.float32), *rest), cotangent)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_nan_offset():
    """A NaN among the offsets shows in its own pixel, and nowhere else."""
    x, offset, *rest = TALL.make()
    offset[0, 40, 2, 7] = np.nan
    args = (x, offset, *rest)
    y = np.asarray(jax.jit(base.public(TALL, "native"))(*args))
    bad = np.asarray(np.isnan(y).any(-1))
    assert bad[0, 40, 2] and bad.sum() == 1
    _run(args, np.ones_like(y))
