"""Check the constructor options of modules."""

from __future__ import annotations

from typing import Any

from flax import nnx

from s3net_jax.checks import check_choice
from s3net_jax.config import ModelConfig
from s3net_jax.nn.draws import is_draws
from s3net_kernels import IMPLEMENTATIONS

__all__ = ["check_common", "check_rngs", "get_implementation"]

_DTYPES = ("float32", "bfloat16", "float64")


def check_common(dtype: Any, implementation: str | None) -> None:
    """Check the options that all modules share.

    Raises:
      ValueError: an implementation or a dtype that does not exist.
    """
    check_choice("implementation", implementation, (None, *IMPLEMENTATIONS))
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    name = getattr(dtype, "__name__", None) if name is None else name
    check_choice("dtype", name, _DTYPES)


def check_rngs(rngs: Any) -> None:
    """Raise TypeError unless ``rngs`` are random streams."""
    if not isinstance(rngs, nnx.Rngs) and not is_draws(rngs):
        advice = f"nnx.Rngs({rngs})" if type(rngs) is int else "nnx.Rngs(0)"
        raise TypeError(
            f"rngs is {rngs!r}, where random streams of Flax are expected: pass flax.{advice}."
        )


def get_implementation(config: ModelConfig) -> str | None:
    """Return the implementation to pass to operators; None selects the best available one."""
    return None if config.implementation == "auto" else config.implementation
