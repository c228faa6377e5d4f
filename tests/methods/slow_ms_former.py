"""Slow, obvious NumPy versions of the parts of MS-Former, in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import special

Tree = dict[Any, Any]
"""Parameters as nested dicts of arrays, from ``nnx.to_pure_dict``."""


def normalise(x: np.ndarray, p: Tree, axes: tuple[int, ...]) -> np.ndarray:
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * p["scale"] + p["bias"]


def normalise_channels(x: np.ndarray, p: Tree) -> np.ndarray:
    return normalise(x, p, (-1,))


def normalise_batch(x: np.ndarray, p: Tree) -> np.ndarray:
    return normalise(x, p, tuple(range(x.ndim - 1)))


def apply_dense(x: np.ndarray, p: Tree) -> np.ndarray:
    return x @ p["kernel"] + (0 if p.get("bias") is None else p["bias"])


def convolve(x: np.ndarray, p: Tree, stride: int) -> np.ndarray:
    """3×3, one pixel of zero padding, one output pixel at a time."""
    n, h, w, _ = x.shape
    kernel = p["kernel"]
    y = np.zeros((n, len(range(0, h, stride)), len(range(0, w, stride)), kernel.shape[-1]))
    for a, i, j in np.ndindex(*y.shape[:3]):
        y[a, i, j] = p["bias"]
        for r, s in itertools.product(range(3), range(3)):
            row, column = i * stride + r - 1, j * stride + s - 1
            if 0 <= row < h and 0 <= column < w:
                y[a, i, j] += x[a, row, column] @ kernel[r, s]
    return y


def convolve_depthwise(x: np.ndarray, p: Tree) -> np.ndarray:
    n, h, w, channels = x.shape
    y = np.zeros_like(x)
    for a, i, j, c in itertools.product(range(n), range(h), range(w), range(channels)):
        y[a, i, j, c] = p["bias"][c]
        for r, s in itertools.product(range(3), range(3)):
            row, column = i + r - 1, j + s - 1
            if 0 <= row < h and 0 <= column < w:
                y[a, i, j, c] += x[a, row, column, c] * p["kernel"][r, s, c]
    return y


def attend(x: np.ndarray, p: Tree) -> tuple[np.ndarray, np.ndarray]:
    """Efficient attention, image by image, written with channels first as in the paper."""
    n, h, w, channels = x.shape
    results, contexts = np.zeros_like(x), np.zeros((n, channels, channels))
    for a in range(n):
        tokens = x[a].reshape(h * w, channels)
        k = apply_dense(tokens, p["keys"]).T
        q = apply_dense(tokens, p["queries"]).T
        v = apply_dense(tokens, p["values"]).T
        for c in range(channels):
            k[c] = np.exp(k[c]) / np.sum(np.exp(k[c]))
        for i in range(h * w):
            q[:, i] = np.exp(q[:, i]) / np.sum(np.exp(q[:, i]))
        contexts[a] = k @ v.T
        attended = contexts[a].T @ q
        results[a] = apply_dense(attended.T, p["reprojection"]).reshape(h, w, channels)
    return results, contexts


def feed_forward(x: np.ndarray, p: Tree) -> np.ndarray:
    h = apply_dense(x, p["expand"])
    h = normalise_channels(convolve_depthwise(h, p["depthwise"]) + h, p["norm"])
    return apply_dense(h * 0.5 * (1 + special.erf(h / np.sqrt(2))), p["reduce"])


def apply_block(x: np.ndarray, p: Tree) -> tuple[np.ndarray, np.ndarray]:
    attended, context = attend(normalise_channels(x, p["attention_norm"]), p["attention"])
    x = x + attended
    return x + feed_forward(normalise_channels(x, p["ffn_norm"]), p["ffn"]), context


def apply_branch(x: np.ndarray, p: Tree, stride: int) -> tuple[np.ndarray, np.ndarray]:
    x = normalise_batch(convolve(x, p["embedding"], stride), p["embedding_norm"])
    context = np.zeros(0)
    for n, block in p["blocks"].items():
        x, context = apply_block(x, block)
        x = normalise_batch(x, p["block_norms"][n])
    return x, context


def fuse(small: np.ndarray, large: np.ndarray, p: Tree) -> np.ndarray:
    channels = small.shape[-1]
    expanded = apply_dense(large, p["expand"])
    enlarged = np.zeros_like(small)
    for a, i, j in np.ndindex(*small.shape[:3]):
        first = ((i % 2) * 2 + j % 2) * channels  # channel order: row, column, c
        enlarged[a, i, j] = expanded[a, i // 2, j // 2, first : first + channels]
    return apply_dense(np.concatenate([enlarged, small], -1), p["mix"])


def compare_patches(x: np.ndarray, p: Tree) -> np.ndarray:
    """Attention of the patches of maps (N, 32m + 1, 32n + 1, K)."""
    rows, columns = x.shape[1] // 32, x.shape[2] // 32
    results = np.zeros((len(x), rows * columns, rows * columns))
    for a, one in enumerate(x):
        queries, keys = [], []
        for i, j in itertools.product(range(0, 32 * rows, 32), range(0, 32 * columns, 32)):
            queries.append(one[i + 1 : i + 33, j + 1 : j + 33].ravel())
            keys.append(one[i : i + 32, j : j + 32].ravel())
        q, k = (
            apply_dense(np.stack(queries), p["project"]),
            apply_dense(np.stack(keys), p["project"]),
        )
        for i, j in itertools.product(range(len(q)), range(len(k))):
            results[a, i, j] = np.exp(q[i] @ k[j] / 8)
        results[a] /= results[a].sum(-1, keepdims=True)
    return results


def compute_intra_scale_loss(attention: np.ndarray) -> float:
    total = 0.0
    for n, i, j in np.ndindex(*attention.shape):
        total += abs(attention[n, i, j] - (i == j))
    return total / attention.size


def compute_inter_scale_loss(small: np.ndarray, large: np.ndarray) -> float:
    rows = small.reshape(-1, small.shape[-1]), large.reshape(-1, large.shape[-1])
    losses = [1 - s @ t / (np.sqrt(s @ s) * np.sqrt(t @ t)) for s, t in zip(*rows, strict=True)]
    return float(np.mean(losses))


def apply_network(x: np.ndarray, p: Tree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    small, small_context = apply_branch(x, p["small"], 1)
    large, large_context = apply_branch(x, p["large"], 2)
    return fuse(small, large, p["fusion"]), small_context, large_context
