"""Arguments that do not fit: one clear sentence that says what, where, and what to do."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import s3net_kernels as kernels

X = np.zeros((2, 4, 5, 3), np.float32)
W = np.zeros((3, 3, 3), np.float32)
OFFSET = np.zeros((2, 4, 5, 18), np.float32)
MASK = np.zeros((2, 4, 5, 9), np.float32)
DENSE = np.zeros((3, 3, 3, 8), np.float32)
BIAS = np.zeros(3, np.float32)
COORDS = np.zeros((2, 3, 3, 2), np.float32)
MATRIX = np.zeros((2, 3), np.float32)


def depthwise(x: Any = X, w: Any = W, b: Any = None, **options):
    return kernels.depthwise_conv2d(x, w, b, **options)


def inception(x: Any = X, weights: Any = (W, W), biases: Any = (BIAS, BIAS), dilations=(1, 2)):
    return kernels.inception_depthwise(x, weights, biases, dilations=dilations)


def deform(x: Any = X, offset: Any = OFFSET, mask: Any = MASK, w: Any = DENSE, b: Any = None):
    return kernels.deform_conv2d(x, offset, mask, w, b)


def sample(x: Any = X, coords: Any = COORDS, **options):
    return kernels.bilinear_sample(x, coords, **options)


def warp(x: Any = X, matrix: Any = MATRIX, **options):
    return kernels.affine_warp(x, matrix, **options)


def dense(**options):
    return kernels.linear(X, W[0], **options)


def losses(spatial: Any):
    return kernels.softmax_losses(X, spatial=spatial)


def norm(**options):
    return kernels.batch_norm(X, BIAS, BIAS, **options)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: depthwise(w=W[:2]), "w has a 2×3 kernel.*odd.*pad the kernel"),
        (lambda: depthwise(w=W[..., :2]), "x has 3 channels, but w .* has 2"),
        (lambda: depthwise(b=BIAS[:2]), r"b has shape \(2,\), expected \(3,\)"),
        (lambda: depthwise(x=X[0]), r"x has shape \(4, 5, 3\).*N, H, W, C.*x\[None\]"),
        (lambda: depthwise(w=DENSE), r"w has shape \(3, 3, 3, 8\), expected \(kh, kw, C\)"),
        (lambda: depthwise(dilation=0), "dilation is 0"),
        (lambda: depthwise(dilation=1.5), "dilation is 1.5.*int"),
        (lambda: depthwise(x=X[:, :0]), "no pixel"),
        (lambda: inception(weights=(W,)), "1 weights, 2 biases and 2 dilations"),
        (lambda: inception(weights=(), biases=(), dilations=()), "at least one branch is required"),
        (lambda: inception(weights=(W, W[:, :2])), r"w\[1\] has a 3×2 kernel"),
        (lambda: inception(biases=(BIAS, None)), r"b\[1\] is None: pass zeros"),
        (lambda: inception(dilations=(1, -1)), r"dilation\[1\] is -1"),
        (lambda: deform(offset=OFFSET[..., :9]), r"offset has shape .*\(2, 4, 5, 18\).*\(dy, dx\)"),
        (lambda: deform(mask=OFFSET), r"mask has shape .*expected \(2, 4, 5, 9\)"),
        (lambda: deform(offset=OFFSET[:1]), "offset has shape"),
        (lambda: deform(w=DENSE[:, :, :2]), "x has 3 channels, but w .* expects 2"),
        (lambda: deform(w=DENSE[:2]), "2×3 kernel"),
        (lambda: deform(b=BIAS), r"b has shape \(3,\), expected \(8,\)"),
        (lambda: sample(coords=OFFSET), r"coords has shape .*\(2, Ho, Wo, 2\)"),
        (lambda: sample(boundary="wrap"), "boundary is 'wrap'"),
        (lambda: warp(matrix=np.zeros((3, 2, 3), np.float32)), r"\(2, 2, 3\)"),
        (lambda: warp(boundary=None), "boundary is None"),
        (lambda: depthwise(implementation="natve"), "no implementation 'natve'.*'native'"),
        (lambda: depthwise(implementation="cuda"), "use one of reference"),
        (lambda: depthwise(implementation=3), "no implementation 3"),
        (lambda: depthwise(dilation=True), "dilation is True.*int"),
        (lambda: depthwise(dilation="2"), "dilation is '2'.*int"),
        (lambda: inception(dilations=(1, 2.0)), r"dilation\[1\] is 2.0.*int"),
        (lambda: sample(boundary="zeroes"), "did you mean 'zeros'"),
        (lambda: warp(boundary=["zeros"]), r"boundary is \['zeros'\]"),
        (lambda: dense(activation="geluu"), "activation is 'geluu'.*did you mean 'gelu'"),
        (lambda: dense(activation="relu"), "activation is 'relu', but must be None or 'gelu'"),
        (lambda: dense(precision="bf16"), "precision is 'bf16', but must be None or 'bfloat16'"),
        (lambda: dense(precision="BFLOAT16"), "did you mean 'bfloat16'"),
        (lambda: norm(epsilon=float("nan")), "epsilon is nan"),
        (lambda: norm(epsilon="1e-5"), "epsilon is '1e-5'"),
    ],
)
def test_value_error(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: depthwise(x=X.astype(np.int32)), "x holds int32"),
        (lambda: depthwise(w=W.astype(bool)), "w holds bool"),
        (lambda: depthwise(b=[1, 2, 3]), "b holds int"),
        (lambda: deform(offset=OFFSET.astype(np.int8)), "offset holds int8"),
        (lambda: sample(x=X.astype(np.complex64)), "x holds complex64"),
    ],
)
def test_type_error(call, name):
    with pytest.raises(TypeError, match=f"{name}.*astype"):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: deform(offset=None), "offset is None, but must be an array.$"),
        (lambda: depthwise(w=None), "w is None, but must be an array.$"),
        (lambda: dense(through="no"), "through is 'no', but must be True or False"),
        (lambda: losses(spatial=1), "spatial is 1, but must be True or False"),
        (
            lambda: jax.jit(lambda d: depthwise(dilation=d))(2),
            "dilation is a traced value.*static_argnames",
        ),
    ],
)
def test_type_error_of_options(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_integers_of_numpy():
    x, w = X + np.arange(5, dtype=np.float32)[:, None], W + 1
    expected = depthwise(x, w, dilation=2)
    for dilation in (np.int64(2), np.uint8(2), np.array(2)):
        np.testing.assert_array_equal(depthwise(x, w, dilation=dilation), expected)
    np.testing.assert_array_equal(
        inception(x, (w, w), dilations=np.array([1, 2])), inception(x, (w, w), dilations=(1, 2))
    )
