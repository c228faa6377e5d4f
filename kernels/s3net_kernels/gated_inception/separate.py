"""Gated inception whose branches have their own local convolutions, from calls of one branch.

The 1×1 convolution is a sum over branches, so

x ⊙ (concat_r(DW_r(DW_local_r(x))) · mix_w + mix_b) + residual

is the residual plus one gated inception for each branch r, with the rows of ``mix_w`` that belong
to r. Each call takes the sum so far as its residual. Kernels written for a shared local
convolution thus serve these calls too. The price is one more pass over x and the result for each
further branch; in exchange, the concatenated branches never exist.
"""

from __future__ import annotations

from collections.abc import Callable

from jax import Array

from s3net_kernels._varying import zeros
from s3net_kernels.operands import GatedInception

__all__ = ["has_own_locals", "split", "sum_branches"]


def has_own_locals(o: GatedInception) -> bool:
    """Return whether every branch has its own local convolution."""
    return isinstance(o.local_w, tuple)


def split(o: GatedInception) -> list[GatedInception]:
    """Return one call for each branch; the results and the residual add up to that of ``o``.

    The calls have no residual, and only the first one has the bias of the 1×1 convolution.
    """
    assert isinstance(o.local_w, tuple) and isinstance(o.local_b, tuple)
    # Reshape instead of slicing: the gradient is then a stack instead of a sum of padded arrays.
    mixers = o.mix_w.reshape(len(o.local_w), -1, o.mix_w.shape[1])
    nothing = zeros(o.mix_b.shape, o.mix_b.dtype, o.mix_b)
    return [
        GatedInception(
            o.x,
            o.local_w[r],
            o.local_b[r],
            (o.weights[r],),
            (o.biases[r],),
            mixers[r],
            nothing if r else o.mix_b,
            dilations=(o.dilations[r],),
            precision=o.precision,
        )
        for r in range(len(o.local_w))
    ]


def sum_branches(function: Callable[[GatedInception], Array], o: GatedInception) -> Array:
    """Compute ``o`` with ``function``, which serves one branch and adds the residual.

    Between branches, the sum is rounded to the dtype of x, as autodiff rounds the gradient of x: a
    float32 sum would double the memory traffic of 16-bit images.
    """
    total = o.residual
    for part in split(o):
        total = function(part.replace(residual=total))
    assert total is not None
    return total
