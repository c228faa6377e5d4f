"""TF32: what timing allows, and what comparing values sets and restores."""

from __future__ import annotations

import pytest

from benchmarks.harness import machine
from benchmarks.harness.candidates import STOCK, list_step_candidates

torch = pytest.importorskip("torch", reason="TF32 is PyTorch's")


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture(autouse=True)
def as_before():
    before = flags()
    yield
    machine._set_tf32(*before)


def test_comparing_values_leaves_the_flags_as_they_were():
    machine._set_tf32(False, True)
    with machine.use_tf32(False):
        assert flags() == (False, False)
    assert flags() == (False, True)
    with pytest.raises(ValueError, match="inside"), machine.use_tf32(True):
        raise ValueError("inside")
    assert flags() == (False, True)


@pytest.mark.parametrize("gpu", [True, False])
def test_timing_on_a_gpu_allows_tf32(monkeypatch, gpu):
    monkeypatch.setattr(machine, "is_on_gpu", lambda: gpu)
    machine._set_tf32(False, False)
    machine.allow_tf32()
    assert flags() == (gpu, gpu)


@pytest.mark.parametrize(("dtype", "there"), [("float32", True), ("bfloat16", False)])
def test_stock_flax_is_only_float32(dtype, there):
    assert (STOCK in list_step_candidates("paper", 16, 4, dtype)) is there
