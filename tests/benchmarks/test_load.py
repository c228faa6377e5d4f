"""``python -m benchmarks ops --load MODULE`` times implementations from outside the package."""

from __future__ import annotations

import json

import pytest

from benchmarks.harness import metadata
from benchmarks.suites import ops
from s3net_kernels import unregister_implementation

MODULE = """
import jax.numpy as jnp
from s3net_kernels import register_implementation


def multiply(operands):
    y = jnp.matmul(operands.x, operands.w, precision="highest")
    return y if operands.b is None else y + operands.b


register_implementation("linear", "matmul", multiply)
"""


def test_a_loaded_implementation_is_timed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(metadata, "RESULTS", tmp_path)
    monkeypatch.setattr(ops, "has_torch", lambda: False)
    # Leave this process as it was: its threads and memory serve other tests, too.
    monkeypatch.setattr(ops, "hold_little_memory", lambda: None)
    monkeypatch.setattr(ops, "keep_memory", lambda: None)
    (tmp_path / "module_with_matmul.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--quick", "--operator", "linear", "--dtype", "float32", "--implementation", "matmul"]
    try:
        ops.main([*words, "--load", "module_with_matmul"])
    finally:
        unregister_implementation("linear", "matmul")
    (path,) = tmp_path.glob("ops-quick*.json")
    content = json.loads(path.read_text())
    assert {row["implementation"] for row in content["rows"]} == {"matmul"}
    assert all(row["median_s"] > 0 for row in content["rows"])
    assert "--load module_with_matmul" in content["metadata"]["command"]
    assert "matmul" in capsys.readouterr().out


def test_a_module_that_cannot_be_loaded_is_named(capsys):
    with pytest.raises(SystemExit):
        ops.main(["--load", "no_such_module"])
    assert "--load no_such_module: No module named 'no_such_module'" in capsys.readouterr().err
