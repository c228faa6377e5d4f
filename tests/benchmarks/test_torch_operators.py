"""PyTorch's side of the operator benchmarks computes what the reference computes."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_kernels import OPERATORS
from s3net_kernels.testing import compute_reference, make_cotangent
from tests.kernels import base

torch = pytest.importorskip("torch")

from benchmarks.harness.torch_operators import build_torch_call  # noqa: E402

SPECS = [
    pytest.param(spec, id=f"{operator}-{spec}")
    for operator in OPERATORS
    for spec in base.specs(operator)
    if spec.dtype == "float32"
]


@pytest.mark.parametrize("spec", SPECS)
def test_value_and_gradients(spec):
    args = spec.make()
    g = make_cotangent(spec, args)
    double = spec.make(dtype="float64")
    call = build_torch_call(spec, double)
    if call is None:
        pytest.skip("the reference has square kernels only")
    actual = call.to_jax_layout(call.value_and_gradients(call.cotangent(g.astype(np.float64))))
    base.assert_close(spec, actual, compute_reference(spec, g, double), "float64")
