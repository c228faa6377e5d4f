"""Define the interface of an opened input that is fitted in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from s3net_jax.io import Image, Resolution, Volume
from s3net_jax.masks import Segments

__all__ = ["Case", "Labels", "Panel", "make_piece"]

Labels = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of the overlay.

    Attributes:
      image: (H, W, 3) uint8 colours.
      labels: (H, W) labels.
      mask: (H, W) mask.
      name: title of the picture.
    """

    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    name: str


class Case(Protocol):
    """One opened input.

    Attributes:
      name: name of the input in messages.
      notes: sentences for the user.
      pixels: size of its images, (H, W).
      volume: the volume, or None for a picture.
      resolution: resolution of a picture or TIFF stack, or None if its file has none.
      has_common_labels: whether a label means the same in all slices of a volume already, because
        one network labels them.
    """

    name: str
    notes: list[str]
    pixels: tuple[int, int]
    volume: Volume | None
    resolution: Resolution | None

    @property
    def has_common_labels(self) -> bool: ...

    def __len__(self) -> int:
        """Return the number of pieces."""
        ...

    def piece(self, index: int) -> Image | None:
        """Return piece ``index``, or None if all its pixels are equal, so it can't be fitted."""
        ...

    def join(
        self, label_maps: Sequence[np.ndarray | None], targets: Sequence[Labels | None]
    ) -> Segments:
        """Join the label maps of all pieces into labels, mask and target of the whole input.

        The results are (H, W) for a picture and (slices, H, W) for a volume.

        Args:
          label_maps: label map of each piece, or None for a piece that can't be fitted.
          targets: target labels of each piece, or None if this method has to choose them.
        """
        ...

    def join_labels(self, label_maps: Sequence[np.ndarray | None]) -> np.ndarray:
        """Join the label maps of all pieces into compact labels, without choosing a target."""
        ...

    def choose(self, labels: np.ndarray) -> Segments:
        """Choose the target in joined labels by the configured rule."""
        ...

    def select(self, labels: np.ndarray, raw: np.ndarray, target: Labels) -> Segments:
        """Make the given pixels the target, after the configured clean-up and outline.

        Args:
          labels: joined labels of the whole input.
          raw: bool array of the same shape, the pixels to select.
          target: labels that ``raw`` was made from.
        """
        ...

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        """Join the agreement maps of all pieces, with a share in [0, 1] for each pixel."""
        ...

    def part(self, whole: Segments, index: int) -> np.ndarray:
        """Return the (h, w) labels of ``whole`` in the area of piece ``index``."""
        ...

    def panels(self, whole: Segments) -> list[Panel]:
        """Return the pictures of the overlay."""
        ...

    def get_values(self) -> np.ndarray:
        """Return what is measured inside a mask.

        These are (H, W, 3) uint8 colours for a picture; for a volume the numbers of its file,
        (slices, H, W), or (slices, H, W, 3) uint8 colours.
        """
        ...


def make_piece(pixels: np.ndarray, name: str) -> Image | None:
    """Make a piece of a slice or tile; return None if all its pixels are equal."""
    if (pixels == pixels[0, 0]).all():
        return None
    return (
        Image(np.ascontiguousarray(pixels), name)
        if pixels.dtype == np.uint8
        else Image(np.ascontiguousarray(pixels, np.float32), name)
    )
