"""Write and read ``STEM.history.json``, the history of all fits of an input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from s3net_jax.errors import InputError, RecordError
from s3net_jax.run.outcome import Fitted
from s3net_jax.schema import FitHistory, HistoryRecord, read_json

__all__ = ["encode_history", "read_history"]

_ALWAYS = ("loss", "labels")
_TERMS = ("ce", "affine", "spatial")
"""Terms with their own fields; those of other methods are in ``terms``."""


def encode_history(fits: Mapping[tuple[int, int], Fitted]) -> bytes:
    """Encode the histories of all fits as JSON.

    The format is ``{"fits": [{"piece": 0, "seed": 0, "steps": 50, "loss": [...], "ce": [...],
    "affine": [...], "spatial": [...], "labels": [...]}, ...]}``; terms of other methods than S3-Net
    are in ``"terms": {NAME: [...]}``. ``piece`` is the number of the tile or slice, from 0. Numbers
    have six digits; NaN and infinite values are null.

    Args:
      fits: fit of each (piece, seed).
    """
    records = [_encode_fit(piece, seed, fit) for (piece, seed), fit in sorted(fits.items())]
    lines = [json.dumps(record, allow_nan=False) for record in records]
    return ('{"fits": [\n' + ",\n".join(lines) + "\n]}\n").encode()


def _encode_fit(piece: int, seed: int, fit: Fitted) -> FitHistory:
    series = {name: _list_numbers(values) for name, values in fit.history.items()}
    others = {n: v for n, v in series.items() if n not in (*_ALWAYS, *_TERMS)}
    record: dict[str, Any] = {"piece": piece, "seed": seed, "steps": fit.steps}
    record |= {name: series[name] for name in ("loss", *_TERMS) if name in series}
    record |= {"terms": others} if others else {}
    return cast(FitHistory, record | {"labels": series["labels"]})


def read_history(path: Path) -> list[dict[str, Any]]:
    """Read a file that :func:`encode_history` made.

    Returns:
      A dict for each fit with ``piece``, ``seed``, ``steps``, and a (steps,) array for each of
      ``loss``, ``labels`` and the terms of its method;
      values that were not finite are NaN.

    Raises:
      InputError: the file can't be read or is not a history.
    """
    try:
        found: HistoryRecord = read_json(path, HistoryRecord)
    except RecordError as error:
        raise _make_error(path, str(error)) from None
    fits: list[dict[str, Any]] = []
    for fit in found["fits"]:
        fields = cast(Mapping[str, Any], fit)
        given = {n: fields[n] for n in (*_ALWAYS, *_TERMS) if n in fields} | fit.get("terms", {})
        series = {name: np.array(values, float) for name, values in given.items()}
        if any(len(values) != fit["steps"] for values in series.values()):
            raise _make_error(path, "the numbers do not match the steps")
        fits.append({name: fit[name] for name in ("piece", "seed", "steps")} | series)
    return fits


def _make_error(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is not a history written by s3net ({reason}): remove it and repeat the command."
    )


def _list_numbers(values: np.ndarray) -> list[float | int | None]:
    if np.issubdtype(values.dtype, np.integer):
        return [int(value) for value in values]
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
