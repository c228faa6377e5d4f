"""Fit one image under many settings in one program, recording the labels after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.experiments.tuning.settings import Setting, stack_settings
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.run import BatchSizes, make_key, translate_errors

if TYPE_CHECKING:
    from s3net_jax.fitting import FitResult

__all__ = ["Call", "Maps", "SettingFitter"]

Call = Callable[[Callable[[], Any]], Any]
"""Function that runs a computation; the command passes one that can be interrupted."""

Maps = list[np.ndarray | None]
"""Labels (h, w) after 1, 2, ... steps; None where the fit had diverged."""


@dataclass
class SettingFitter:
    """Fits images under many settings, as many at once as fit in memory.

    Attributes:
      config: configuration of all fits; every fit does ``fit.steps`` steps.
      limit: maximum number of fits at once; None for the most that fit in memory and still improve
        throughput.
      call: function that runs each batch; see :data:`Call`.
      say: function called with a message when a batch is halved.
    """

    config: Config
    limit: int | None = None
    call: Call = lambda compute: compute()
    say: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        self._config = self.config.replace(fit={"record_labels": True})
        self._sizes = BatchSizes(self._config, self.limit, None, self.say)

    def fit(self, pixels: np.ndarray, settings: Sequence[Setting], seed: int) -> Iterator[Maps]:
        """Yield the maps of each setting in turn.

        Args:
          pixels: (h, w, 3) float32 in [0, 1], the network's input.
          settings: settings to fit.
          seed: seed of every fit.

        Raises:
          ConfigError: if the configured implementation is not available on this machine.
        """

        def fit_part(part: list[Setting]) -> list[Maps]:
            return self.call(lambda: _fit_settings(pixels, part, seed, self._config))

        shape = pixels.shape[0], pixels.shape[1]
        return self._sizes.fit_in_parts(settings, shape, fit_part, fill=True)


def _fit_settings(
    pixels: np.ndarray, settings: list[Setting], seed: int, config: Config
) -> list[Maps]:
    import jax

    from s3net_jax import fitting

    with use_default_settings(), translate_errors(config):
        keys = jax.numpy.stack([make_key(seed)] * len(settings))
        images = jax.numpy.asarray(pixels)
        fits = fitting.fit_batch(keys, images, config, hyper=stack_settings(settings, config))
    return [_read_maps(fits, n) for n in range(len(settings))]


def _read_maps(fits: FitResult, n: int) -> Maps:
    """Read the label maps of fit ``n`` of a batch.

    Step i + 1 records the labels of the network after i steps. So the labels after n < ``steps``
    steps are record n, and those after the last step come from the trained network.
    """
    assert fits.label_maps is not None
    done, total = int(fits.steps[n]), fits.label_maps.shape[1]
    losses = np.asarray(fits.history["loss"][n])
    end = np.asarray(fits.labels[n]) if np.isfinite(fits.logits[n]).all() else None
    maps: Maps = [
        np.asarray(fits.label_maps[n, step]) if np.isfinite(losses[step]) else None
        for step in range(1, done)
    ]
    # After an early stop, further steps change nothing.
    return maps + [end] * (total - len(maps))
