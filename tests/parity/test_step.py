"""One step of every configuration: logits, terms of the loss, gradients of all parameters."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="parity with PyTorch needs torch")

from s3net_jax.config import Config
from s3net_jax.presets import preset
from tests.parity.sides import find_largest_errors, make_problem, run_jax, run_torch

SHAPE = (20, 28)
CHANNELS = 8


def _config(name: str, dtype: str, changes: dict | None = None) -> Config:
    """Make a small configuration, in the released order of the inception unless changed."""
    sections = {**(changes or {})}
    model = {"inception": "dilated", **sections.get("model", {})}
    sections["model"] = {**model, "channels": CHANNELS, "dtype": dtype}
    return preset(name).replace(**sections)


def _assert_agree(config: Config, tolerance: float, shape: tuple[int, int] = SHAPE) -> None:
    p = make_problem(config, shape)
    theirs, ours = run_torch(p), run_jax(p)
    assert set(ours) == set(theirs)
    assert len(np.unique(theirs["label map"])) > 3
    np.testing.assert_array_equal(ours["label map"], theirs["label map"])
    errors = find_largest_errors(ours, theirs)
    too_large = {name: error for name, error in errors.items() if not error <= tolerance}
    assert not too_large


ORDERS = [
    ("paper", "dilated"),
    ("paper", "local"),
    ("paper-lung", "dilated"),
    pytest.param("paper-lung", "local", marks=pytest.mark.slow),
    ("released", "dilated"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "inception"), ORDERS)
def test_presets(name, inception):
    _assert_agree(_config(name, "float64", {"model": {"inception": inception}}), 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "inception"), ORDERS[2:])
def test_presets_in_float32(name, inception):
    # Rounding errors of sums over all pixels and channels, through some ten layers and back.
    rounding = 32 * np.sqrt(np.prod(SHAPE) * CHANNELS) * np.finfo(np.float32).eps
    _assert_agree(_config(name, "float32", {"model": {"inception": inception}}), rounding)


ONE_BLOCK = {
    "skip after the projection": {"residual": "after_projection"},
    "LKA of VAN": {"kernel_sizes": (7,), "dilations": (3,), "local_kernel": 3},
    "local convolutions in every branch": {"inception": "local"},
    "plain blocks": {"block": "conv"},
    "plain convolution for the deformable": {"deform": "conv"},
    "no deformable layer": {"deform": "none"},
    "free offsets": {"deform": "free", "deform_init": "uniform"},
    "deformable of 5×5": {"deform_kernel": 5},
    "released colour branch": {"color": "released"},
}


@pytest.mark.slow
@pytest.mark.parametrize("model", ONE_BLOCK.values(), ids=ONE_BLOCK)
def test_networks(model):
    changes = {"model": {"blocks": 1, **model}}
    _assert_agree(_config("paper", "float64", changes), 1e-10)


LOSSES = {
    "input warped": {"affine": {"apply_at": "input"}},
    "logits warped": {"affine": {"apply_at": "logits"}},
    "hard spatial loss": {"spatial": "hard"},
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_objectives(loss):
    changes = {"model": {"blocks": 1}, "loss": loss}
    _assert_agree(_config("paper", "float64", changes), 1e-10)


@pytest.mark.slow
def test_three_blocks_with_the_last_one_repeated():
    _assert_agree(_config("paper", "float64", {"model": {"blocks": 3}}), 1e-10, (12, 10))


@pytest.mark.slow
def test_pure_xla_operators():
    changes = {"model": {"blocks": 1, "implementation": "xla"}}
    _assert_agree(_config("paper", "float64", changes), 1e-10)
