"""Save the parameters of a trained network together with its configuration, and load them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from s3net_jax.config import Config, check_config
from s3net_jax.errors import ConfigError, InputError, get_reason
from s3net_jax.io import open_regular, write_bytes

__all__ = [
    "SavedNetwork",
    "describe_differences",
    "load_params",
    "read_network",
    "save_params",
]

_CONFIG, _TRAINING = "config", "training"
"""Names of JSON texts in the archive; parameters have dots in their names."""
_SECTIONS = ("input", "model", "method")
"""Sections that determine a prediction; the others concern training, or come after prediction."""
_SPEED = ("model.implementation",)
"""Fields of these sections that change only the speed."""


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """Content of a file that :func:`save_params` wrote.

    Attributes:
      config: configuration of the training.
      params: nested dict of NumPy arrays.
      training: how the network was trained, as given to :func:`save_params`; empty if nothing was.
      digest: SHA-256 of the file.
    """

    config: Config
    params: dict[Any, Any]
    training: dict[str, Any]
    digest: str


def save_params(
    path: str | Path,
    params: Any,
    config: Config,
    *,
    training: Mapping[str, object] | None = None,
) -> None:
    """Write parameters and configuration to a NumPy archive (``.npz``), atomically.

    Args:
      path: file to write or replace; the name is used as it is.
      params: parameters, a state of the method's network or a nested dict of arrays.
      config: configuration of the training.
      training: further values to keep, which must be valid as JSON, such as the number of images.

    Raises:
      OutputError: the file cannot be written.
    """
    check_config(config)
    tree = nnx.to_pure_dict(params) if isinstance(params, nnx.State) else params
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    # The prefix keeps the names apart from that of the configuration.
    arrays = {
        "params." + jax.tree_util.keystr(where, simple=True, separator="."): np.asarray(leaf)
        for where, leaf in leaves
    }
    content = io.BytesIO()
    arrays[_CONFIG] = np.asarray(json.dumps(config.to_dict()))
    if training:
        arrays[_TRAINING] = np.asarray(json.dumps(dict(training)))
    np.savez(content, **arrays)  # pyright: ignore[reportArgumentType]
    write_bytes(Path(path), content.getvalue())


def load_params(path: str | Path, config: Config) -> Any:
    """Read parameters that :func:`save_params` wrote.

    Args:
      path: file to read.
      config: configuration that they are meant for. The sections ``input``, ``model`` and
        ``method`` must be those of the training; ``fit`` and ``segment`` may differ.

    Returns:
      Nested dict of NumPy arrays, for :func:`predict`, or for ``fit(..., params=...)``.

    Raises:
      InputError: the file cannot be read, or was not written by :func:`save_params`.
      ConfigError: the parameters belong to another configuration.
    """
    check_config(config)
    found = read_network(path)
    _check_same(path, found.config, config)
    return found.params


def read_network(path: str | Path) -> SavedNetwork:
    """Read a file that :func:`save_params` wrote.

    Raises:
      InputError: the file cannot be read, or was not written by :func:`save_params`.
    """
    content, digest = _read_archive(Path(path))
    try:
        config = Config().replace(**json.loads(str(content.pop(_CONFIG))))
        training = dict(json.loads(str(content.pop(_TRAINING, "{}"))))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise InputError(f"{path} has a configuration that can't be used: {error}") from None
        raise _make_foreign_error(path) from None
    tree: dict[Any, Any] = {}
    for name, array in content.items():
        prefix, *inner = name.split(".")
        if prefix != "params" or not inner or array.dtype.kind != "f":
            raise _make_foreign_error(path)
        *inner, leaf = inner
        node = tree
        for part in inner:
            node = node.setdefault(int(part) if part.isdigit() else part, {})
        node[leaf] = array
    return SavedNetwork(config, tree, training, digest)


def _read_archive(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Read all arrays of an archive, and the SHA-256 of the file."""
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not zipfile.is_zipfile(file):
                raise _make_foreign_error(path)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}, digest
    except OSError as error:
        raise InputError(f"{path} can't be read: {get_reason(error)}.") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise _make_foreign_error(path) from None


def _make_foreign_error(path: Any) -> InputError:
    return InputError(
        f"{path} is no file of parameters, or it is damaged: give a model.npz of s3net segment, or "
        "a file that s3net_jax.fitting.save_params wrote."
    )


def describe_differences(theirs: Config, ours: Config, is_relevant: Callable[[str], bool]) -> str:
    """List up to three fields that differ, as ``NAME=THEIRS instead of OURS``; "" if none do.

    Args:
      theirs, ours: configurations to compare.
      is_relevant: function of a field's dotted name; other fields may differ.
    """
    here, there = ours.differences(theirs), theirs.differences(ours)
    names = list(filter(is_relevant, sorted({*here, *there})))
    if "method.name" in names:  # the other fields follow from it
        names = ["method.name"]
    shown = ", ".join(
        f"{name}={there.get(name, 'unset')} instead of {here.get(name, 'unset')}"
        for name in names[:3]
    )
    return shown + (f" and {len(names) - 3} more fields" if len(names) > 3 else "")


def _check_same(path: Any, theirs: Config, ours: Config) -> None:
    """Raise :class:`ConfigError` if a field that determines predictions differs."""
    found = describe_differences(
        theirs, ours, lambda name: name.split(".")[0] in _SECTIONS and name not in _SPEED
    )
    if found:
        raise ConfigError(
            f"{path} belongs to another configuration, with {found}: use the configuration of the "
            "training."
        )
