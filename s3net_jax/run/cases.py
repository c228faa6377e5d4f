"""Open inputs; split a picture into pieces to fit (the image or tiles) and join their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s3net_jax.config import ALL_SLICES, Config
from s3net_jax.errors import InputError
from s3net_jax.io import (
    Image,
    Resolution,
    Volume,
    parse_window,
    read,
    read_dicom,
    read_nifti,
    read_resolution,
    read_stack,
)
from s3net_jax.masks import (
    Segments,
    add_mask_as_label,
    check_point,
    compact_labels,
    find_segments,
    merge_clusters,
    select_segments,
)
from s3net_jax.run.inputs import Source
from s3net_jax.run.pieces import Case, Labels, Panel, make_piece
from s3net_jax.run.slices import VolumeCase
from s3net_jax.run.tiles import Tiling

__all__ = ["Case", "ImageCase", "Panel", "TiledCase", "VolumeCase", "image_case", "open_case"]


def open_case(source: Source, config: Config) -> Case:
    """Read an input and make its case.

    Raises:
      InputError: the input can't be read or segmented.
      ConfigError: ``config.input.window`` is not a valid window.
    """
    if source.problem:
        raise InputError(source.problem)
    case = _read_case(source, config, parse_window(config.input.window))
    if source.kind in ("image", "stack"):
        case.resolution = read_resolution(source.path)
    case.notes = [*source.notes, *case.notes]
    check_point(config.segment.target, case.pixels, str(source.path))
    return case


def _read_case(source: Source, config: Config, window: tuple[float, float] | None) -> Case:
    if source.kind == "image":
        return image_case(read(source.path, window), config)
    if source.kind == "nifti":
        volume = read_nifti(source.path)
    elif source.kind == "stack":
        volume = read_stack(source.path)
    else:
        volume = read_dicom(list(source.files), str(source.path), source.frames)
    return VolumeCase(volume, config, window)


def image_case(image: Image, config: Config) -> ImageCase:
    """Make a case of a picture: one piece, or tiles if a side exceeds ``config.input.tile``.

    Raises:
      InputError: ``config.input.slices`` selects slices.
    """
    if config.input.slices != ALL_SLICES:
        raise InputError(
            f"{image.name} is a picture, not a volume: omit the slices {config.input.slices}."
        )
    if config.input.tile and max(image.shape) > config.input.tile:
        return TiledCase(image, config)
    return ImageCase(image, config)


class ImageCase:
    """A picture that is fitted as one piece."""

    volume: Volume | None = None
    resolution: Resolution | None = None
    has_common_labels = False

    def __init__(self, image: Image, config: Config) -> None:
        self._image, self._config = image, config
        self.name = image.name
        self.notes = list(image.notes)
        self.pixels = image.shape

    def __len__(self) -> int:
        return 1

    def piece(self, index: int) -> Image | None:
        return self._image

    def join(
        self, label_maps: Sequence[np.ndarray | None], targets: Sequence[Labels | None]
    ) -> Segments:
        labels, target = label_maps[0], targets[0]
        assert labels is not None
        if target is not None:
            return self._merge(Segments(labels, np.isin(labels, target), target))
        return self.choose(labels)

    def join_labels(self, label_maps: Sequence[np.ndarray | None]) -> np.ndarray:
        assert label_maps[0] is not None
        return label_maps[0]

    def choose(self, labels: np.ndarray) -> Segments:
        return self._merge(find_segments(labels, self._image, self._config.segment))

    def _merge(self, whole: Segments) -> Segments:
        return merge_clusters(whole, self._image.pixels, self._config.segment.clusters)

    def select(self, labels: np.ndarray, raw: np.ndarray, target: Labels) -> Segments:
        return select_segments(labels, raw, target, self._image, self._config.segment)

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        assert shares[0] is not None
        return shares[0]

    def part(self, whole: Segments, index: int) -> np.ndarray:
        return whole.labels

    def panels(self, whole: Segments) -> list[Panel]:
        name = Path(self._image.name).name
        return [Panel(self._image.rgb8(), whole.labels, whole.mask, name)]

    def get_values(self) -> np.ndarray:
        return self._image.rgb8()


class TiledCase(ImageCase):
    """A large picture, split into overlapping tiles that are fitted separately."""

    def __init__(self, image: Image, config: Config) -> None:
        super().__init__(image, config)
        self._tiling = Tiling(image.shape, config.input.tile, config.input.overlap)

    def __len__(self) -> int:
        return len(self._tiling)

    def piece(self, index: int) -> Image | None:
        return make_piece(self._image.pixels[self._tiling[index]], f"a tile of {self._image.name}")

    def join(
        self, label_maps: Sequence[np.ndarray | None], targets: Sequence[Labels | None]
    ) -> Segments:
        labels = self.join_labels(label_maps)
        if any(target is not None for target in targets):
            masks = [
                np.zeros(self._image.pixels[self._tiling[n]].shape[:2], np.float32)
                if part is None
                else np.isin(part, target or ()).astype(np.float32)
                for n, (part, target) in enumerate(zip(label_maps, targets, strict=True))
            ]
            return self._merge(add_mask_as_label(labels, self._tiling.blend(masks) > 0.5))
        return self.choose(labels)

    def join_labels(self, label_maps: Sequence[np.ndarray | None]) -> np.ndarray:
        colors = self._image.rgb8().astype(np.float32) / 255
        return compact_labels(self._tiling.join_labels(label_maps, colors))

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        return self._tiling.blend(shares)

    def part(self, whole: Segments, index: int) -> np.ndarray:
        return whole.labels[self._tiling[index]]
