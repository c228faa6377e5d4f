"""A process that keeps its memory allocates none when it runs the same program again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import jax, jax.numpy as jnp
from s3net_kernels import keep_memory

assert keep_memory()

@jax.jit
def program(x):
    return x + 1, x * 2

x = jnp.ones((4096, 4096))
def pages(calls):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(calls):
        jax.block_until_ready(program(x))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages(20)  # what one call gives back is not always there when the next one starts
print(pages(10))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no other C library can be told to")
def test_no_fresh_pages_in_a_loop():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = 10 * 2 * 4096 * 4096 * 4 // 4096
    assert int(done.stdout) < results // 4


def test_elsewhere_it_says_no(monkeypatch):
    from s3net_kernels import keep_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory() is False
