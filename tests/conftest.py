"""Shared fixtures: double precision, and small images."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Most of the tests' time is compilation. LLVM's optimiser and XLA's newer way to write loops make
# code faster, not other, and splitting a program over threads does not pay beside a second worker:
# tests on tiny arrays do without, in the processes they start too. (63 tests of methods and fits:
# 110 s of CPU with the first flag and the last, 91 s with all.)
_FLAGS = {"--xla_backend_optimization_level": "0"}
if jax.__version_info__ < (0, 11):  # XLA ends the process at a flag that it no longer has
    _FLAGS["--xla_llvm_disable_expensive_passes"] = "true"
    _FLAGS["--xla_cpu_parallel_codegen_split_count"] = "1"
    _FLAGS["--xla_cpu_use_fusion_emitters"] = "false"
for _name, _value in _FLAGS.items():
    if _name not in (_given := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{_given} {_name}={_value}".strip()

# Compilation makes the first example slow; a deadline would only report that.
settings.register_profile(
    "s3net", deadline=None, max_examples=25, suppress_health_check=list(HealthCheck)
)
settings.load_profile("s3net")


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled programs in a folder that is not the user's own.

    All workers of xdist and the commands that tests start (see `tests.run.commands.environment`)
    share it: many tests compile the same programs. ``S3NET_TEST_CACHE`` names a folder that several
    runs of pytest share.
    """
    if not os.environ.get("S3NET_TEST_CACHE"):
        folder = tempfile.mkdtemp(prefix="s3net-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["S3NET_TEST_CACHE"] = folder
    programs = os.path.join(os.environ["S3NET_TEST_CACHE"], "tests")
    jax.config.update("jax_compilation_cache_dir", programs)
    # By default, JAX keeps only what took a second, and tests and the commands they start have
    # hundreds of smaller programs.
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def pytest_collection_finish() -> None:
    """Programs stay alive in their caches: looking through their objects again and again takes
    some 7 % of the time of tests that trace much."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture
def x64():
    """float64 and int64 inside the test, whatever the others use."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def picture() -> np.ndarray:
    """(24, 20, 3) float32 in [0, 1]: a dark disc on a bright ground, with texture."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:24, :20]
    disc = (y - 11) ** 2 + (x - 10) ** 2 < 36
    base = np.where(disc[..., None], (0.35, 0.2, 0.15), (0.8, 0.65, 0.6))
    return np.clip(base + random.normal(0, 0.05, base.shape), 0, 1).astype(np.float32)
