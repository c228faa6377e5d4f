"""Settings that are not arguments, as a context: ``with config(deterministic=True): ...``.

The values take part in the cache key of ``jax.jit``: a function that is called inside another
context is traced again, and never reuses a program compiled for other settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import jax

__all__ = ["Settings", "config", "settings"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What :func:`config` can set."""

    deterministic: bool = False
    """Only Pallas kernels whose result is the same, to the last bit, on every run; by default,
    gradients of what is sampled are added atomically, in no fixed order. See :func:`config`."""
    interpret: bool = False
    """Run Pallas kernels in interpret mode, on any platform: slow, for debugging and tests."""
    tuned: bool = True
    """Take block sizes from the table of the device; False takes the heuristic everywhere."""


_context = jax.make_user_context(default_value=Settings())


def settings() -> Settings:
    """The settings in force."""
    return _context.value


@contextmanager
def config(
    *, deterministic: bool | None = None, interpret: bool | None = None, tuned: bool | None = None
) -> Iterator[None]:
    """Change settings inside a ``with`` block; None leaves a setting as it is.

    Args:
      deterministic: first derivatives by the Pallas kernels are bit-identical from run to run.
        It counts where backward is traced. What the ``xla`` path computes on a GPU (all that the
        kernels decline, and second derivatives) scatters with XLA's own additions: these are in a
        fixed order only under ``XLA_FLAGS=--xla_gpu_deterministic_ops=true``.
      interpret: run Pallas kernels in interpret mode, on any platform.
      tuned: whether to use the tuned block sizes of the device.

    >>> with config(deterministic=True):
    ...     settings().deterministic
    True
    """
    given = {"deterministic": deterministic, "interpret": interpret, "tuned": tuned}
    changes = {name: value for name, value in given.items() if value is not None}
    with _context(dataclasses.replace(settings(), **changes)):
        yield
