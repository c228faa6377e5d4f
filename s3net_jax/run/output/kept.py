"""Keep the finished fits of a volume or tiled picture until its result is written.

A run that is killed leaves them in ``unfinished/STEM/``, a file for each piece and seed, and the
same command resumes with the next piece. A file is used only for the same content of the input,
configuration, network, seed and version of the package. Damaged files are ignored: their pieces are
fitted again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from s3net_jax.errors import OutputError
from s3net_jax.io import make_subfolder, read_regular, remove_leftovers, write_bytes
from s3net_jax.run.outcome import Fitted
from s3net_jax.run.settings import Identity
from s3net_jax.schema import conform, parse_json
from s3net_jax.version import get_package_version

__all__ = ["UNFINISHED", "KeptFits", "delete_fits"]

UNFINISHED = "unfinished"
"""Folder of the kept fits, in an output folder."""

_NAME = re.compile(r"([0-9]{1,9})-([0-9]{1,10})\.fit")
_FORMAT = 1  # change it if the content of the files changes
_OVERHEAD = 1 << 26  # bytes for histories and the label maps of a film, far above what they take
_DIGEST = hashlib.sha256().digest_size


class _Key(TypedDict):
    """What a fit depends on."""

    format: int
    version: str
    sha256: str
    config: str
    networks: str
    seed: int
    piece: int


class _Fit(TypedDict):
    """What is kept beside the arrays."""

    key: _Key
    steps: int
    seconds: float
    member: int
    notes: list[str]
    target: list[int] | None


class KeptFits:
    """The kept fits of one input of several pieces."""

    def __init__(self, folder: Path, stem: str, digest: str, identity: Identity) -> None:
        """Name the input.

        Args:
          folder: output folder.
          stem: name of the input's results.
          digest: SHA-256 of the input's content.
          identity: configuration, networks and seeds of the run.
        """
        self._folder, self._stem = folder, stem
        self._digest, self._identity = digest, identity
        self._place: Path | None = None

    def put(self, piece: int, seed: int, fit: Fitted) -> None:
        """Keep a fit, atomically.

        Raises:
          OutputError: the file can't be written.
        """
        content = zlib.compress(_encode(fit, self._make_key(piece, seed)), 1)
        name = f"{piece}-{seed}.fit"
        if self._place is None:
            try:
                self._place = make_subfolder(self._folder, UNFINISHED, self._stem)
            except OutputError:  # another process has just deleted the empty folder above it
                self._place = make_subfolder(self._folder, UNFINISHED, self._stem)
        write_bytes(self._place / name, hashlib.sha256(content).digest() + content)

    def load(self, shapes: dict[int, tuple[int, int]]) -> dict[tuple[int, int], Fitted]:
        """Read the fits that an earlier run kept.

        Args:
          shapes: size (H, W) of each piece that is fitted.

        Returns:
          (piece, seed) → fit, in ascending order.
        """
        place = self._folder / UNFINISHED / self._stem
        if place.is_symlink() or not place.is_dir():
            return {}
        remove_leftovers(place)
        found: dict[tuple[int, int], Fitted] = {}
        for path in place.iterdir():
            named = _NAME.fullmatch(path.name)
            piece, seed = (int(named[1]), int(named[2])) if named else (-1, -1)
            if piece in shapes and seed in self._identity.all_seeds:
                with suppress(Exception):  # a file of another run, or a damaged one
                    key = self._make_key(piece, seed)
                    found[piece, seed] = _decode(read_regular(path), key, shapes[piece])
        return dict(sorted(found.items()))

    def _make_key(self, piece: int, seed: int) -> _Key:
        return {
            "format": _FORMAT,
            "version": get_package_version(),
            "sha256": self._digest,
            "config": self._identity.config,
            "networks": self._identity.networks,
            "seed": seed,
            "piece": piece,
        }


def delete_fits(folder: Path, stem: str) -> None:
    """Delete the kept fits of an input. What can't be deleted stays; it does no harm."""
    base = folder / UNFINISHED
    place = base / stem
    if base.is_symlink() or place.is_symlink() or not place.is_dir():
        return
    with suppress(OSError):
        remove_leftovers(place)
        for path in list(place.iterdir()):
            if _NAME.fullmatch(path.name):
                path.unlink(missing_ok=True)
        os.rmdir(place)
        os.rmdir(base)  # fails while other inputs have kept fits


def _encode(fit: Fitted, key: _Key) -> bytes:
    record: _Fit = {
        "key": key,
        "steps": fit.steps,
        "seconds": fit.seconds,
        "member": fit.member,
        "notes": list(fit.notes),
        "target": None if fit.target is None else [int(label) for label in fit.target],
    }
    text = json.dumps(record, allow_nan=False).encode()
    arrays = {f"history.{name}": values for name, values in fit.history.items()}
    arrays["record"] = np.frombuffer(text, np.uint8)
    arrays["labels"] = _shrink(fit.labels)
    if fit.clusters is not None:
        arrays["clusters"] = _shrink(fit.clusters)
    if fit.label_maps is not None:
        arrays["label_maps"] = fit.label_maps
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _decode(content: bytes, key: _Key, shape: tuple[int, int]) -> Fitted:
    """Decode a file; raise an error if it is damaged or of another run."""
    digest, packed = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(packed).digest() != digest:
        raise ValueError("the content has another digest")
    largest = _OVERHEAD + 8 * shape[0] * shape[1]  # two label maps of 32 bits
    unpacked = zlib.decompressobj().decompress(packed, largest)
    with np.load(io.BytesIO(unpacked), allow_pickle=False) as file:
        arrays = dict(file)
    record: Any = parse_json(arrays["record"].tobytes())
    conform(record, _Fit, "")
    if record["key"] != key:
        raise ValueError("the fit is another one")
    maps = {name: arrays.get(name) for name in ("labels", "clusters")}
    if maps["labels"] is None or any(m is not None and m.shape != shape for m in maps.values()):
        raise ValueError("the label map has another size")
    history = {n.removeprefix("history."): a for n, a in arrays.items() if n.startswith("history.")}
    if any(values.shape != (record["steps"],) for values in history.values()):
        raise ValueError("the history has another length")
    clusters, target = maps["clusters"], record["target"]
    return Fitted(
        maps["labels"].astype(np.int32),
        history,
        record["steps"],
        arrays.get("label_maps"),
        record["seconds"],
        notes=tuple(record["notes"]),
        target=None if target is None else tuple(target),
        member=record["member"],
        clusters=None if clusters is None else clusters.astype(np.int32),
    )


def _shrink(labels: np.ndarray) -> np.ndarray:
    largest = int(labels.max(initial=0))
    kind = np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.int32
    return labels.astype(kind)
