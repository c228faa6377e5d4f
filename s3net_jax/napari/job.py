"""Segment a part of a layer in a thread, with progress and a way to cancel."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from s3net_jax.config import Config
from s3net_jax.errors import (
    CancelledError,
    ConfigError,
    DivergedError,
    InputError,
    OutputError,
    describe_unexpected,
)
from s3net_jax.io import format_window, from_array, parse_window
from s3net_jax.masks import check_target
from s3net_jax.napari.picture import PictureSession
from s3net_jax.napari.session import Session
from s3net_jax.napari.source import Cut
from s3net_jax.napari.volume import VolumeSession
from s3net_jax.presets import DEFAULT_PRESET, preset
from s3net_jax.run import ProgressView, open_volume, segment_images, segment_volume_case

__all__ = ["Job", "Settings", "explain"]


@dataclass(frozen=True)
class Settings:
    """What a user can set.

    Attributes:
      preset: name of a preset.
      steps: number of optimisation steps, at least 1; None takes that of the preset.
      target: rule that chooses the clusters of the mask.
      seed: random seed, 0 to 2³² − 1.
    """

    preset: str = DEFAULT_PRESET
    steps: int | None = None
    target: str = "auto"
    seed: int = 0

    def make_config(self, window: tuple[float, float] | None = None) -> Config:
        """Make the configuration of the fits.

        Args:
          window: values to show as black and white, or None for those of the preset.

        Raises:
          ConfigError: a value is unknown or out of its range.
        """
        check_target(self.target)
        config = preset(self.preset).replace(segment={"target": self.target})
        if self.steps is not None:
            config = config.replace(fit={"steps": self.steps})
        if window is not None:
            config = config.replace(input={"window": format_window(window)})
        return config


class Job:
    """One segmentation. A thread calls :meth:`run`; any other may read the state and cancel it.

    Attributes:
      cut: what is segmented.
      done, total: finished steps, and steps of all fits; both 0 before the first fit begins.
      state: phrase that says what the job does.
      error: after :meth:`run`, a sentence on what went wrong, or "".
      is_cancelled: whether :meth:`cancel` was called.
    """

    def __init__(self, cut: Cut, settings: Settings) -> None:
        self.cut = cut
        self.done, self.total, self.state = 0, 0, "preparing"
        self.error = ""
        self._settings = settings
        self._stop = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        """End the job with its next report, some steps later; compiling can't be interrupted."""
        self._stop.set()

    def run(self) -> Session | None:
        """Segment the part.

        Returns:
          The result; None if the job was cancelled or failed, and then ``error`` says why.
        """
        try:
            session = self._segment()
        except CancelledError:
            return None
        except Exception as error:
            self.error = "" if self.is_cancelled else explain(error, self.cut.name)
            return None
        return None if self.is_cancelled else session

    def _segment(self) -> Session:
        cut, config = self.cut, self._settings.make_config(self.cut.window)
        view, seed = ProgressView(self._open), self._settings.seed
        if cut.is_volume:
            case = open_volume(cut.values, None, config)
            return VolumeSession(cut, segment_volume_case(case, config, seed, view), case)
        image = from_array(cut.values, cut.name, parse_window(config.input.window))
        return PictureSession(cut, segment_images([image], config, (seed,), view)[0][0])

    @contextlib.contextmanager
    def _open(self, total: int) -> Iterator[Any]:
        def show(done: int, state: str) -> None:
            self.done, self.state = done, state
            if self.is_cancelled:
                raise CancelledError

        self.total = total
        yield show


def explain(error: BaseException, name: str) -> str:
    """Make one sentence for the user from an error.

    With the environment variable ``S3NET_DEBUG``, an unexpected error is also printed with its
    traceback.

    Args:
      error: error of a segmentation, a pick, a correction or a file.
      name: name of the layer.
    """
    if isinstance(error, (ConfigError, DivergedError, InputError, OutputError)):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{name} does not fit in memory: segment a part of it, or a slice."
    if type(error) is RuntimeError:  # a fit that failed: the message is a sentence already
        return str(error)
    if os.environ.get("S3NET_DEBUG"):
        traceback.print_exception(error)
    return f"Segmenting {name} {describe_unexpected(error)}"
