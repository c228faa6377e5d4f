"""The XLA implementation's blocks: images larger than one, and with a rest."""

from __future__ import annotations

import pytest

from tests.kernels import base

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [20, 35])
def test_chunks_of_the_deformable_convolution(monkeypatch, pixels):
    """70 pixels: chunks with a rest, and without one."""
    monkeypatch.setattr(base.module("deform_conv2d", "xla"), "_PIXELS", {"cpu": pixels})
    _check(base.specs("deform_conv2d")[1])


@pytest.mark.parametrize("rows", [2, 3])
def test_blocks_of_the_weight_gradient(monkeypatch, rows):
    """9 rows: blocks with a rest, and without one."""
    monkeypatch.setattr(base.module("depthwise_conv2d", "xla"), "_ROWS", rows)
    _check(base.specs("depthwise_conv2d")[3])


def _check(spec):
    args = spec.make(dtype="float64")
    cotangent = base.make_cotangent(spec, args)
    actual = base.value_and_gradients(base.public(spec, "xla"))(cotangent, *args)
    base.assert_close(spec, actual, base.reference(spec, cotangent, args), "float64")
