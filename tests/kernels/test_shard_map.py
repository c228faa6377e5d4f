"""Operators inside ``shard_map``, which checks what varies over the mesh: images on several
devices, parameters on all. Gradients of parameters are then sums over the devices."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from s3net_kernels import OPERATORS
from s3net_kernels.testing import ArgSpec
from tests.kernels import base
from tests.processes import HANG

NAMES = ("reference", "xla", "native")


def check(spec: ArgSpec, implementation: str) -> None:
    """Values and gradients over all devices equal those of each device computed separately."""
    devices = jax.devices()
    shards = [spec.make(seed) for seed in range(len(devices))]
    kinds = [leaf for n in range(len(spec.args)) for leaf in _kinds(spec, n)]
    flat, form = zip(*(jax.tree.flatten(args) for args in shards), strict=True)
    joined = [
        leaves[0] if shared else np.concatenate(leaves)
        for shared, *leaves in zip(kinds, *flat, strict=True)
    ]
    shards = [
        form[0].unflatten(
            all_of if shared else own
            for shared, all_of, own in zip(kinds, joined, leaves, strict=True)
        )
        for leaves in flat
    ]
    g = base.make_cotangent(spec, shards[0])
    run = base.value_and_gradients(base.public(spec, implementation))
    found = [[np.asarray(a) for a in run(g, *args)] for args in shards]
    expected = [
        sum(parts[1:], parts[0]) if shared else np.concatenate(parts)
        for shared, *parts in zip([False, *kinds], *found, strict=True)
    ]

    def local(g, *leaves):
        return run(g, *form[0].unflatten(leaves))

    specs = [PartitionSpec() if shared else PartitionSpec("images") for shared in kinds]
    mapped = jax.shard_map(
        local,
        mesh=Mesh(np.array(devices), ("images",)),
        in_specs=(PartitionSpec("images"), *specs),
        out_specs=[PartitionSpec("images"), *specs],
    )
    actual = jax.jit(mapped)(np.concatenate([g] * len(devices)), *joined)
    base.assert_close(spec, [np.asarray(a) for a in actual], expected, "float32")


def _kinds(spec: ArgSpec, n: int) -> list[bool]:
    """Of every array of argument ``n``: whether all images share it."""
    return [n in spec.parameters for _ in jax.tree.leaves(spec.args[n])]


def _smallest(operator: str) -> ArgSpec:
    shapes = base.module(operator, "arg_specs")
    specs = shapes.SPECS or [shapes.spec(shape) for shape in shapes.SHAPES if min(shape[1:3]) > 2]
    return min(specs, key=lambda spec: math.prod(spec.args[0].shape))


@pytest.mark.parametrize("implementation", NAMES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_types_agree_with_what_varies(operator, implementation):
    if implementation not in ("reference", *base.list_available(operator)):
        pytest.skip(f"{implementation} is not available")
    check(_smallest(operator), implementation)


_TWO = """
from tests.kernels import test_shard_map as t
assert len(t.jax.devices()) == 2
for operator in ("depthwise_conv2d", "deform_conv2d", "linear"):
    for name in t.base.list_available(operator):
        t.check(t._smallest(operator), name)
"""


@pytest.mark.slow
def test_parameters_get_the_sum_over_two_devices():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags}
    subprocess.run([sys.executable, "-c", _TWO], env=environment, check=True, timeout=HANG)


@pytest.mark.parametrize("implementation", ("xla", "native"))
def test_what_varies_is_not_taken_for_the_same_everywhere(implementation):
    """A sum of one device's pixels must not pass as that of all."""
    spec = _smallest("softmax_losses")
    if implementation not in base.list_available("softmax_losses"):
        pytest.skip(f"{implementation} is not available")
    mapped = jax.shard_map(
        base.public(spec, implementation),
        mesh=Mesh(np.array(jax.devices()), ("images",)),
        in_specs=PartitionSpec("images"),
        out_specs=PartitionSpec(),
    )
    with pytest.raises(ValueError, match="replicat"):
        jax.eval_shape(mapped, spec.make()[0])
