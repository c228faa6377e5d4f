"""Save the parameters of a trained network together with its configuration, and load them."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from s3net_jax.config import Config, check_config
from s3net_jax.errors import ConfigError, InputError, get_reason
from s3net_jax.io import write_bytes

__all__ = ["load_params", "save_params"]

_CONFIG = "config"
"""Name of the configuration's JSON in the archive; parameters have dots in their names."""
_SECTIONS = ("input", "model", "method")
"""Sections that determine a prediction; the others concern training, or come after prediction."""
_SPEED = ("model.implementation",)
"""Fields of these sections that change only the speed."""


def save_params(path: str | Path, params: Any, config: Config) -> None:
    """Write parameters and configuration to a NumPy archive (``.npz``), atomically.

    Args:
      path: file to write or replace; the name is used as it is.
      params: parameters, a state of the method's network or a nested dict of arrays.
      config: configuration of the training.

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
    content = _read_archive(Path(path))
    try:
        theirs = Config().replace(**json.loads(str(content.pop(_CONFIG))))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise InputError(f"{path} has a configuration that can't be used: {error}") from None
        raise _make_foreign_error(path) from None
    _check_same(path, theirs, config)
    tree: dict[Any, Any] = {}
    for name, array in content.items():
        prefix, *inner, leaf = name.split(".")
        if prefix != "params" or array.dtype.kind != "f":
            raise _make_foreign_error(path)
        node = tree
        for part in inner:
            node = node.setdefault(int(part) if part.isdigit() else part, {})
        node[leaf] = array
    return tree


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise _make_foreign_error(path)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"{path} can't be read: {get_reason(error)}.") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise _make_foreign_error(path) from None


def _make_foreign_error(path: Any) -> InputError:
    return InputError(
        f"{path} is no file of parameters, or it is damaged: give a file that "
        "s3net_jax.fitting.save_params wrote."
    )


def _check_same(path: Any, theirs: Config, ours: Config) -> None:
    """Raise :class:`ConfigError` if a field that determines predictions differs."""
    differing = ours.differences(theirs)
    there = theirs.differences(ours)
    names = [
        name
        for name in sorted({*differing, *there})
        if name.split(".")[0] in _SECTIONS and name not in _SPEED
    ]
    if "method.name" in names:  # the other fields follow from it
        names = ["method.name"]
    if not names:
        return
    shown = ", ".join(
        f"{name}={there.get(name, 'unset')} instead of {differing.get(name, 'unset')}"
        for name in names[:3]
    )
    more = f" and {len(names) - 3} more fields" if len(names) > 3 else ""
    raise ConfigError(
        f"{path} belongs to another configuration, with {shown}{more}: use the configuration of "
        "the training."
    )
