"""Make the configurations to measure: presets in the released order of the inception."""

from __future__ import annotations

import s3net_jax as s3
from s3net_jax.config import Config

__all__ = ["ORDER", "has_other_order", "load_preset"]

ORDER = "dilated"
"""Order of the inception (``model.inception``) in everything that the suites measure: the released
one. The presets ``paper`` and ``paper-lung`` have the order ``local`` since version 0.2, but
earlier result files do not, and figures of different commits can be compared only in the same
order."""


def load_preset(name: str) -> Config:
    """Return the preset ``name`` in the order :data:`ORDER`; other methods have no inception."""
    return s3.preset(name).replace(model={"inception": ORDER})


def has_other_order(name: str) -> bool:
    """Return whether the preset ``name`` itself has another order than :func:`load_preset`."""
    return s3.preset(name).model.inception != ORDER
