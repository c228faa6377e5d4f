"""The reference's trainer as the benchmarks build it."""

from __future__ import annotations

import numpy as np
import pytest

import s3net_jax as s3

torch = pytest.importorskip("torch", reason="the PyTorch reference needs torch")

from benchmarks.harness.candidates import COMPILED, Candidate, build  # noqa: E402
from benchmarks.torch_reference import PLAIN, Options, Trainer  # noqa: E402


@pytest.mark.parametrize(
    ("options", "strides"), [(Options(), (216, 1, 27, 3)), (PLAIN, (216, 72, 9, 1))]
)
def test_the_picture_has_the_strides_of_its_format(options, strides):
    config = s3.preset("released").replace(model={"channels": 4})
    trainer = Trainer(np.zeros((8, 9, 3), np.float32), config, options=options)
    assert trainer.images.stride() == strides


def test_each_preset_is_compiled_independently(monkeypatch):
    monkeypatch.setattr(
        "benchmarks.harness.candidates._build_torch_step", lambda *_: (lambda: None, 0.0)
    )
    forgotten = []
    monkeypatch.setattr(torch._dynamo, "reset", lambda: forgotten.append(True))
    for preset in ("paper", "released"):
        build(Candidate("step", COMPILED, preset, 16, 4, "float32"))
    assert len(forgotten) == 2
