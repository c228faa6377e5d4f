"""Train one network on many images, in a thread that does not delay interruptions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, DivergedError, TrainingStoppedError
from s3net_jax.io import Image, prepare
from s3net_jax.jax_setup import get_platform, is_out_of_memory, use_default_settings
from s3net_jax.parallel import run_in_thread
from s3net_jax.run.bar import ProgressView, open_listener
from s3net_jax.run.fitter import Progress, make_key, translate_errors
from s3net_jax.run.network import NetworkParams

__all__ = ["Trained", "TrainingSet", "describe_small_set", "train_on_pieces"]


class Trained(NamedTuple):
    """A trained network.

    Attributes:
      params: nested dict of NumPy arrays.
      seconds: time that the training took, compilation included.
    """

    params: Any
    seconds: float


class TrainingSet:
    """Images to train on, kept only at the size of the network's input."""

    def __init__(self, config: Config, images: Iterable[Image] = ()) -> None:
        self._config = config
        self._images: list[np.ndarray] = []
        for image in images:
            self.add(image)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def images(self) -> np.ndarray:
        """All images, (N, h, w, C) float32 in [0, 1]."""
        return np.stack(self._images)

    def add(self, image: Image) -> None:
        """Add an image.

        Raises:
          ConfigError: its network input has another shape than those before, or is too small for
            the method.
        """
        from s3net_jax.methods import get_method

        pixels = prepare(image, self._config.input)
        height, width, channels = pixels.shape
        if self._images and self._images[0].shape != pixels.shape:
            before = self._images[0].shape
            raise ConfigError(
                f"One network needs inputs of one shape, but input.aspect="
                f"{self._config.input.aspect} gives {before[0]}×{before[1]} and {height}×{width} "
                "pixels: use input.aspect=square."
            )
        check_shape = get_method(self._config.method.name).check_shape
        if check_shape is not None:
            try:
                check_shape((height, width, channels), self._config)
            except ValueError as error:
                raise ConfigError(str(error)) from None
        self._images.append(pixels)

    def train(
        self,
        seed: int,
        progress: Progress | None = None,
        *,
        member: int = 0,
        keep_steps: bool = False,
        batch: int | None = None,
        is_silent: bool = False,
    ) -> Trained:
        """Train a network on all images.

        Args:
          seed: seed of the training.
          progress: listener, called from another thread; or None.
          member: number of the network among those of the seed.
          keep_steps: whether to return the parameters after every step, with a leading axis.
          batch: number of images in a mini-batch; see :func:`s3net_jax.fitting.fit_dataset`.
          is_silent: whether to compile a program without reports, which JAX can keep in its cache;
            such a training can be interrupted only at its end.

        Raises:
          ConfigError: the configuration can't be used on this machine.
          DivergedError: the trained parameters are not finite.
          MemoryError: memory ran out.
          Exception: the error that ``progress`` raised.
        """
        import jax

        start = time.perf_counter()
        get_platform()
        stopped = threading.Event()
        # Settings in a `with` block of JAX hold for one thread only.
        device, wide = jax.config.jax_default_device, jax.config.jax_enable_x64  # pyright: ignore

        def tell(step: int, record: dict[str, Any]) -> None:
            if stopped.is_set():
                raise TrainingStoppedError
            if progress is not None:
                progress(step, {"running": 1, **record, "fits": 1})

        def train() -> Any:
            with jax.default_device(device), jax.enable_x64(wide):
                listener = None if is_silent else tell
                return self._train(make_key(seed, member), listener, keep_steps, batch)

        try:
            params = run_in_thread(train)
        except BaseException as error:
            # After an interruption the thread still runs: let it end with its next step.
            logging.getLogger("jax._src.debugging").addFilter(_is_no_stop)
            stopped.set()
            if is_out_of_memory(error):
                height, width = self._images[0].shape[:2]
                raise MemoryError(
                    f"training on {len(self)} images of {height}×{width} pixels: lower input.size, "
                    "or train on fewer images"
                ) from None
            raise
        return Trained(params, time.perf_counter() - start)

    def _train(
        self, key: Any, progress: Progress | None, keep_steps: bool, batch: int | None
    ) -> Any:
        import jax
        from flax import nnx

        from s3net_jax import fitting

        with use_default_settings(), translate_errors(self._config):
            found = fitting.fit_dataset(
                key,
                self.images,
                self._config,
                batch=batch,
                keep_steps=keep_steps,
                progress=progress,
            )
            tree = nnx.to_pure_dict(found) if isinstance(found, nnx.State) else found
            params = jax.tree.map(np.asarray, tree)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            rate = self._config.fit.learning_rate
            raise DivergedError(f"The training diverged: lower fit.learning_rate (now {rate:g}).")
        return params


def _is_no_stop(record: logging.LogRecord) -> bool:
    """Return False for the message with which JAX logs :class:`TrainingStoppedError`."""
    return not (record.exc_info and isinstance(record.exc_info[1], TrainingStoppedError))


def train_on_pieces(
    pieces: Iterable[Image | None],
    config: Config,
    seeds: Sequence[int],
    progress: Progress | ProgressView | bool | None,
) -> dict[int, NetworkParams]:
    """Train a network for each seed; for errors see :meth:`TrainingSet.train`.

    Args:
      pieces: images, tiles or slices; None for one of a single colour, which is left out.
      config: configuration.
      seeds: seeds of the trainings.
      progress: listener, view, or whether to show a bar.

    Returns:
      Network of each seed. Its share is the time of its training divided by the number of images.
    """
    images = TrainingSet(config, (piece for piece in pieces if piece is not None))
    note = describe_small_set(len(images), config)
    networks: dict[int, NetworkParams] = {}
    with open_listener(progress, len(seeds), config.fit.steps) as listener:
        for seed in seeds:
            params, seconds = images.train(seed, listener)
            networks[seed] = NetworkParams(params, seconds / len(images), note)
    return networks


def describe_small_set(count: int, config: Config) -> str:
    """Make the note on a network that was trained on a single image; "" for several images."""
    if count > 1:
        return ""
    return (
        f"The network was trained on one image, although the preset {config.preset} is meant for "
        "many: give more images, or use a preset for single images."
    )
