"""Settings that apply inside a context: ``with config(deterministic=True): ...``.

The values are part of the cache key of ``jax.jit``: a function called inside another context is
traced again, and never reuses a program compiled for other settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import jax

__all__ = ["Settings", "config", "settings"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings that :func:`config` changes."""

    deterministic: bool = False
    """Use only Pallas kernels whose results are bit-identical on every run. By default, gradients
    of sampled images are added atomically, in no fixed order. See :func:`config`."""
    interpret: bool = False
    """Run Pallas kernels in interpret mode on any platform; slow, for debugging and tests."""
    tuned: bool = True
    """Take block sizes from the device's table; False always uses the heuristic."""


_context = jax.make_user_context(default_value=Settings())


def settings() -> Settings:
    """Return the current settings."""
    return _context.value


@contextmanager
def config(
    *, deterministic: bool | None = None, interpret: bool | None = None, tuned: bool | None = None
) -> Iterator[None]:
    """Change settings inside a ``with`` block; None keeps a setting.

    Args:
      deterministic: whether first derivatives by Pallas kernels are bit-identical from run to run.
        It takes effect where the backward pass is traced. The ``xla`` path (every call that the
        kernels decline, and second derivatives) uses XLA's scatter-additions on a GPU, which have a
        fixed order only under ``XLA_FLAGS=--xla_gpu_deterministic_ops=true``.
      interpret: whether to run Pallas kernels in interpret mode, on any platform.
      tuned: whether to use the tuned block sizes of the device.

    >>> with config(deterministic=True):
    ...     settings().deterministic
    True
    """
    given = {"deterministic": deterministic, "interpret": interpret, "tuned": tuned}
    changes = {name: value for name, value in given.items() if value is not None}
    with _context(dataclasses.replace(settings(), **changes)):
        yield
