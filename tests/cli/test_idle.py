"""Settings without effect are named, and only those that were set."""

from __future__ import annotations

import pytest

import s3net_jax as s3
from s3net_jax.cli.idle import find_idle_settings
from s3net_jax.config import parse_overrides


@pytest.mark.parametrize(
    ("preset", "sets", "idle"),
    [
        ("paper", ["fit.stop_after=3"], ["fit.stop_after has no effect with fit.stop_labels=0."]),
        ("paper", ["fit.stop_after=3", "fit.stop_labels=2"], []),
        ("released", ["fit.stop_after=3"], []),
        ("paper", ["segment.boundary_level=0.5"], ["segment.boundary_level"]),
        ("best", ["segment.boundary_level=0.5"], []),
        ("best", ["segment.boundary=clusters"], []),
        ("paper", ["input.overlap=0.3"], ["input.overlap has no effect with input.tile=0."]),
        ("paper", ["model.block=conv", "model.residual=after_projection"], ["model.residual"]),
        ("paper", ["model.local_kernels=3,3,3"], []),
        ("paper", ["model.local_kernel=3"], ["model.local_kernel"]),
        ("paper", ["model.inception=dilated", "model.local_kernel=3"], []),
        ("released", ["model.local_kernels=3,3,3"], ["model.local_kernels"]),
        ("released", ["model.inception=local", "model.local_kernels=3,3,3"], []),
        ("released", ["model.inception=local", "model.local_kernel=3"], ["model.local_kernel"]),
        ("paper", ["model.block=conv", "model.inception=local"], ["model.inception"]),
        ("paper", ["model.deform=none", "model.deform_kernel=5"], ["model.deform_kernel"]),
        ("paper", ["model.deform=conv", "model.deform_kernel=5"], []),
        ("paper", ["model.deform=conv", "model.deform_init=uniform"], ["model.deform_init"]),
        ("best", ["segment.target=dark", "segment.choice=proposals"], ["segment.choice"]),
        ("released", ["loss.weight_spatial=1"], ["loss.weight_spatial"]),
        ("paper", ["loss.weight_spatial=1"], []),
    ],
)
def test_settings_that_nothing_reads(preset: str, sets: list[str], idle: list[str]) -> None:
    changes = parse_overrides(sets)
    found = find_idle_settings(s3.preset(preset).replace(**changes), changes)
    assert len(found) == len(idle)
    assert all(sentence.startswith(start) for sentence, start in zip(found, idle, strict=True))
