"""A kernel without working memory raises; afterwards the process and the kernel still work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from s3net_kernels._native import unavailable

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

EVERY_KERNEL = """
import jax, numpy as np
import s3net_kernels
from s3net_kernels.testing import load_module, make_cotangent, make_function, value_and_gradients
from s3net_kernels._native.library import load

library = load()
library.s3n_limit_scratch.argtypes = [__import__("ctypes").c_int64]

def outcome(run, *args):
    try:
        return [np.asarray(a) for a in run(*args)]
    except jax.errors.JaxRuntimeError as error:
        assert "RESOURCE_EXHAUSTED" in str(error) and "s3net_kernels" in str(error), error
        return None

failed = set()
for operator in s3net_kernels.OPERATORS:
    specs = load_module(operator, "arg_specs")
    for spec in (specs.SPECS or specs.CHECKS)[1:3]:
        args = spec.make()
        g = make_cotangent(spec, args)
        value = jax.jit(make_function(spec, "native"))
        both = value_and_gradients(make_function(spec, "native"))
        library.s3n_limit_scratch(1)
        for run, given in ((value, args), (both, (g, *args))):
            if outcome(lambda *a: jax.tree.leaves(run(*a)), *given) is None:
                failed.add(operator)
        library.s3n_limit_scratch(0)
        after = outcome(both, g, *args)
        again = outcome(both, g, *args)
        assert after is not None
        for a, b in zip(after, again):
            np.testing.assert_array_equal(a, b)
print(*sorted(failed))
"""

LIMITED = """
import re, resource
import jax, jax.numpy as jnp
import s3net_kernels as k

logits = jnp.ones((1, 2, 200_000, 64))  # 100 MB; a thread's bands of it, three times that and more
losses = jax.jit(lambda z: k.softmax_losses(z, spatial=True, implementation="native"))
compiled = losses.lower(logits).compile()
small = jnp.ones((1, 2, 20, 64))
jax.block_until_ready(losses(small))
with open("/proc/self/status") as file:
    used = int(re.search(r"VmSize:\\s+(\\d+) kB", file.read())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
try:
    jax.block_until_ready(compiled(logits))
except jax.errors.JaxRuntimeError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert jnp.isfinite(jax.block_until_ready(compiled(logits)).cross_entropy)
assert jnp.isfinite(losses(small).cross_entropy)
"""


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_kernel_raises_and_recovers():
    failed = set(run(EVERY_KERNEL).split())
    # batch_norm needs no working memory of its own.
    assert failed >= {
        "conv2d",
        "deform_conv2d",
        "depthwise_conv2d",
        "gated_inception",
        "inception_depthwise",
        "softmax_losses",
    }


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_limit_on_the_address_space():
    assert "RESOURCE_EXHAUSTED: s3net_kernels" in run(LIMITED)
