"""The CPU kernels beyond what every implementation is tested for: instruction sets, repeats."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

from s3net_kernels import OPERATORS, implementations
from s3net_kernels._native import instruction_set, unavailable, use_instruction_set
from s3net_kernels._native.library import INSTRUCTION_SETS
from tests.kernels import base

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

COMPOSED = ("linear_norm",)
"""Of operators that are tested themselves."""
SERVED = [op for op in OPERATORS if implementations()[op]["native"] is None and op not in COMPOSED]
SPECS = [
    pytest.param(spec, id=f"{op}-{spec}")
    for op in SERVED
    for spec in base.specs(op)
    if spec.dtype == "float32"
]


@pytest.fixture(params=INSTRUCTION_SETS)
def isa(request):
    """Each instruction set this processor has."""
    usual = instruction_set()
    assert usual is not None
    try:
        use_instruction_set(request.param)
    except ValueError:
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    use_instruction_set(usual)


@pytest.mark.parametrize("spec", SPECS)
def test_instruction_sets(spec, isa):
    """Every instruction set agrees with the reference in float64."""
    args = spec.make(seed=2)
    cotangent = base.make_cotangent(spec, args)
    actual = _run(spec)(cotangent, *args)
    base.assert_close(spec, actual, base.reference(spec, cotangent, args), "float32")


@pytest.mark.parametrize("spec", SPECS)
def test_repeatable(spec):
    """The same call gives the same bits, whatever the threads do."""
    args = spec.make(seed=3)
    cotangent = base.make_cotangent(spec, args)
    run = _run(spec)
    first = [np.asarray(a) for a in run(cotangent, *args)]
    for _ in range(3):
        for a, b in zip(first, run(cotangent, *args), strict=True):
            np.testing.assert_array_equal(a, b)


@functools.cache
def _run(spec):
    return base.value_and_gradients(base.public(spec, "native"))


def test_unknown_instruction_set():
    """An instruction set that does not exist is refused, and nothing changes."""
    before = instruction_set()
    with pytest.raises(ValueError, match="sse9"):
        use_instruction_set("sse9")
    assert instruction_set() == before


@pytest.mark.slow
def test_another_library_may_be_named(tmp_path):
    missing = tmp_path / "none.so"
    code = "import s3net_kernels as k; print(k.implementations()['linear']['native'])"
    environment = {**os.environ, "S3NET_KERNELS_LIBRARY": str(missing)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert f"names {missing}, and there is no such file" in run.stdout
