"""Fits of one image under many settings, as one program, with the labels after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError
from s3net_jax.experiments.tuning.settings import Setting, hyper_of
from s3net_jax.jax_setup import DRAWS, out_of_memory, usual_settings
from s3net_jax.run import most_at_once

__all__ = ["Call", "Maps", "SettingFitter"]

Call = Callable[[Callable[[], Any]], Any]
"""Runs a computation; a command line passes one that can be interrupted."""

Maps = list[np.ndarray | None]
"""Labels (h, w) after 1, 2, ... steps; None where the fit had diverged."""


@dataclass
class SettingFitter:
    """Fits images under many settings, as many at once as the memory holds.

    Attributes:
      config: of all; every fit does ``fit.steps`` steps.
      limit: fits at once; None: as many as help, and fit the memory.
      call: see :data:`Call`.
      say: is told of a batch that had to be halved.
    """

    config: Config
    limit: int | None = None
    call: Call = lambda compute: compute()
    say: Callable[[str], None] = lambda text: None
    _sizes: dict[tuple[int, int], int] = field(default_factory=dict)

    def __call__(
        self, pixels: np.ndarray, settings: Sequence[Setting], seed: int
    ) -> Iterator[Maps]:
        """The maps of each setting in turn.

        Args:
          pixels: (h, w, 3) float32 in [0, 1], the network's input.
          settings: any number.
          seed: of every fit.

        Raises:
          ConfigError: an implementation that can't serve.
        """
        config = self.config.replace(fit={"record_labels": True})
        shape = pixels.shape[0], pixels.shape[1]
        size = self._sizes.get(shape) or min(
            len(settings), self.limit or most_at_once(config, shape, len(settings), None)
        )
        done = 0
        while done < len(settings):
            part = list(settings[done : done + size])
            # A last batch that is smaller would be another program.
            filled = part + part[:1] * (size - len(part))
            try:
                fits = self.call(lambda filled=filled: _fit(pixels, filled, seed, config))
            except Exception as error:
                if size == 1 or not out_of_memory(error):
                    raise
                size = size // 2
                self.say(f"{len(filled)} fits at once do not fit into memory: going on with {size}")
                continue
            self._sizes[shape] = size
            for n in range(len(part)):
                yield _maps(fits, n)
            done += len(part)


def _fit(pixels: np.ndarray, settings: list[Setting], seed: int, config: Config) -> Any:
    import jax

    from s3net_jax import fitting
    from s3net_kernels import UnsupportedError

    try:
        with usual_settings():
            keys = jax.numpy.stack([jax.random.key(seed, impl=DRAWS)] * len(settings))
            images = jax.numpy.asarray(pixels)
            return fitting.fit_batch(keys, images, config, hyper=hyper_of(settings))
    except UnsupportedError as error:
        raise ConfigError(f"{error} (model.implementation={config.model.implementation})") from None


def _maps(fits: Any, n: int) -> Maps:
    """Fit ``n`` of a batch. What step i + 1 records belongs to the network after i steps: so
    after n < ``steps`` steps it is record n, and at the end the trained network."""
    done, total = int(fits.steps[n]), fits.label_maps.shape[1]
    losses = np.asarray(fits.history["loss"][n])
    end = np.asarray(fits.labels[n]) if np.isfinite(fits.logits[n]).all() else None
    maps: Maps = [
        np.asarray(fits.label_maps[n, step]) if np.isfinite(losses[step]) else None
        for step in range(1, done)
    ]
    # An early stop: more steps than were done change nothing.
    return maps + [end] * (total - len(maps))
