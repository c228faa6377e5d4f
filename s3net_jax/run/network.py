"""Trained networks that are applied to pieces in place of a fit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3net_jax.config import Config

__all__ = [
    "Network",
    "NetworkFile",
    "NetworkParams",
    "SharedNetwork",
    "is_trained_on_folder",
    "load_network",
    "read_model_config",
]


@dataclass(frozen=True)
class NetworkFile:
    """A trained network in a file, which workers in other processes can read, too.

    Attributes:
      path: absolute path of a file that :func:`s3net_jax.fitting.save_params` wrote.
      digest: SHA-256 of the file, which tells apart a file and its replacement.
      share: seconds of training to add to the time of each piece.
      note: sentence for the user about every result, or "".
      is_common: whether the numbers of its clusters become the labels as they are, so that a label
        means the same in all slices of a volume.
    """

    path: Path
    digest: str
    share: float = 0.0
    note: str = ""
    is_common: bool = False

    def load(self, config: Config) -> Any:
        """Return the parameters; for errors see :func:`s3net_jax.fitting.load_params`."""
        from s3net_jax.fitting import load_params

        return load_params(self.path, config)


@dataclass(frozen=True, eq=False)
class NetworkParams:
    """A trained network in memory.

    Attributes:
      params: parameters, a state of the network or a nested dict of arrays.
      share, note, is_common: see :class:`NetworkFile`.
    """

    params: Any
    share: float = 0.0
    note: str = ""
    is_common: bool = False

    def load(self, config: Config) -> Any:
        """Return the parameters."""
        del config
        return self.params


@dataclass(frozen=True)
class SharedNetwork:
    """A network that was trained on slices of one volume, for all of its slices.

    It is compared by its digest, so that a worker in another process, which receives a copy with
    every slice, keeps only one.

    Attributes:
      digest: SHA-256 of the parameters.
      params: nested dict of NumPy arrays.
      share, note, is_common: see :class:`NetworkFile`.
    """

    digest: str
    params: Any = field(compare=False, repr=False)
    share: float = field(default=0.0, compare=False)
    note: str = field(default="", compare=False)
    is_common: bool = True

    def load(self, config: Config) -> Any:
        """Return the parameters."""
        del config
        return self.params


Network = NetworkFile | NetworkParams | SharedNetwork


def is_trained_on_folder(config: Config) -> bool:
    """Return whether the method trains one network on all images, in place of a fit of each."""
    return config.method.trained_on == "folder"


def read_model_config(model: Any) -> Config:
    """Read the configuration of a trained network from its file.

    Args:
      model: path of a file that :func:`s3net_jax.fitting.save_params` wrote.

    Raises:
      InputError: the file can't be read.
      TypeError: ``model`` is no path but parameters, which have no configuration.
    """
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            "model holds parameters without their configuration: pass the config of the training."
        )
    from s3net_jax.fitting import read_network

    return read_network(Path(model)).config


def load_network(model: Any, config: Config) -> NetworkParams | None:
    """Load a trained network.

    Args:
      model: path of a file, which must belong to ``config``; parameters; or None for no network.
      config: configuration.

    Raises:
      InputError: the file can't be read.
      ConfigError: the file belongs to another configuration.
    """
    if isinstance(model, (str, os.PathLike)):
        from s3net_jax.fitting import load_params

        return NetworkParams(load_params(Path(model), config))
    return None if model is None else NetworkParams(model)
