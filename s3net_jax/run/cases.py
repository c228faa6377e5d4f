"""Split an input into pieces to fit (whole image, tiles, or slices) and join their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import InputError
from s3net_jax.io import (
    Image,
    Resolution,
    SliceView,
    Volume,
    check_scaling,
    invert,
    parse_window,
    read,
    read_dicom,
    read_nifti,
    read_resolution,
    read_stack,
    scale_to_unit,
)
from s3net_jax.masks import (
    LabelPool,
    Segments,
    add_mask_as_label,
    check_point,
    check_target,
    choose_target,
    clean,
    compact_labels,
    find_majority_labels,
    find_segments,
    refine_outline,
)
from s3net_jax.run.inputs import Source
from s3net_jax.run.shown import choose_shown_slices
from s3net_jax.run.tiles import Tiling

__all__ = ["Case", "ImageCase", "Panel", "TiledCase", "VolumeCase", "image_case", "open_case"]


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
      notes: sentences for the user.
      pixels: size of its images, (H, W).
      volume: the volume, or None for a picture.
      resolution: resolution of a picture or TIFF stack, or None if its file has none.
    """

    notes: list[str]
    pixels: tuple[int, int]
    volume: Volume | None
    resolution: Resolution | None

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

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        """Join the agreement maps of all pieces, with a share in [0, 1] for each pixel."""
        ...

    def part(self, whole: Segments, index: int) -> np.ndarray:
        """Return the (h, w) labels of ``whole`` in the area of piece ``index``."""
        ...

    def panels(self, whole: Segments) -> list[Panel]:
        """Return the pictures of the overlay."""
        ...


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
    """Make a case of a picture: one piece, or tiles if a side exceeds ``config.input.tile``."""
    if config.input.tile and max(image.shape) > config.input.tile:
        return TiledCase(image, config)
    return ImageCase(image, config)


class ImageCase:
    """A picture that is fitted as one piece."""

    volume: Volume | None = None
    resolution: Resolution | None = None

    def __init__(self, image: Image, config: Config) -> None:
        self._image, self._config = image, config
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
            return Segments(labels, np.isin(labels, target), target)
        return find_segments(labels, self._image, self._config.segment)

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        assert shares[0] is not None
        return shares[0]

    def part(self, whole: Segments, index: int) -> np.ndarray:
        return whole.labels

    def panels(self, whole: Segments) -> list[Panel]:
        name = Path(self._image.name).name
        return [Panel(self._image.rgb8(), whole.labels, whole.mask, name)]


class TiledCase(ImageCase):
    """A large picture, split into overlapping tiles that are fitted separately."""

    def __init__(self, image: Image, config: Config) -> None:
        super().__init__(image, config)
        self._tiling = Tiling(image.shape, config.input.tile, config.input.overlap)

    def __len__(self) -> int:
        return len(self._tiling)

    def piece(self, index: int) -> Image | None:
        return _make_piece(self._image.pixels[self._tiling[index]], f"a tile of {self._image.name}")

    def join(
        self, label_maps: Sequence[np.ndarray | None], targets: Sequence[Labels | None]
    ) -> Segments:
        colors = self._image.rgb8().astype(np.float32) / 255
        labels = compact_labels(self._tiling.join_labels(label_maps, colors))
        if any(target is not None for target in targets):
            masks = [
                np.zeros(self._image.pixels[self._tiling[n]].shape[:2], np.float32)
                if part is None
                else np.isin(part, target or ()).astype(np.float32)
                for n, (part, target) in enumerate(zip(label_maps, targets, strict=True))
            ]
            return add_mask_as_label(labels, self._tiling.blend(masks) > 0.5)
        return find_segments(labels, self._image, self._config.segment)

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        return self._tiling.blend(shares)

    def part(self, whole: Segments, index: int) -> np.ndarray:
        return whole.labels[self._tiling[index]]


class VolumeCase:
    """A volume that is fitted slice by slice, with labels that continue across slices."""

    resolution: Resolution | None = None

    def __init__(
        self, volume: Volume, config: Config, window: tuple[float, float] | None = None
    ) -> None:
        self.volume: Volume | None = volume
        self.view = SliceView(volume, config.input.axis)
        self.notes = list(volume.notes)
        self.pixels = self.view.shape[1], self.view.shape[2]
        self._config = config
        values = self.view.get_slices(volume.voxels)
        if values.dtype != np.uint8:
            check_scaling(volume)
            # One window for all slices: labels continue across slices by grey value, which a
            # window for each slice would make incomparable.
            values, _ = scale_to_unit(values, volume.name, window)
        elif window is not None:
            self.notes.append(f"{volume.name} has 8 bits: the window is not applied to it.")
        self._slices = invert(values) if volume.white_is_zero else values
        blank = sum(self.piece(n) is None for n in range(len(self)))
        if blank == len(self):
            raise InputError(
                f"{volume.name} has only one value in every slice: there is nothing to segment."
            )
        if blank:
            self.notes.append(
                f"{blank} of the {len(self)} slices have only one value; they get label 0."
            )

    def __len__(self) -> int:
        return len(self.view)

    def piece(self, index: int) -> Image | None:
        assert self.volume is not None
        return _make_piece(self._slices[index], f"slice {index + 1} of {self.volume.name}")

    def join(
        self, label_maps: Sequence[np.ndarray | None], targets: Sequence[Labels | None]
    ) -> Segments:
        pool = LabelPool()
        common = np.full((len(self), *self.pixels), -1, np.int32)
        chosen: list[Labels] = []
        local = check_target(self._config.segment.target)[1] is not None
        masks = np.zeros(common.shape, bool)
        last: np.ndarray | None = None
        for n, labels in enumerate(label_maps):
            image = self.piece(n)
            if labels is None or image is None:
                chosen.append(())
                continue
            known = np.full(self.pixels, -1, np.int32) if last is None else last
            colors = self._slices[n] if self._slices.ndim == 4 else self._slices[n][..., None]
            scale = np.float32(1 / 255 if colors.dtype == np.uint8 else 1)
            last = common[n] = pool.add(labels, colors.astype(np.float32) * scale, known)
            given = targets[n]
            if given is not None:
                chosen.append(tuple(np.unique(last[np.isin(labels, given)]).tolist()))
                continue
            target = choose_target(last, image.rgb8(), self._config.segment, image.name)
            chosen.append(target.labels)
            masks[n] = target.mask
        if local:  # the target is a point, which selects a cluster in every slice
            target_labels = tuple(sorted({label for labels in chosen for label in labels}))
        else:
            target_labels = find_majority_labels(list(common), chosen)
            for n in range(len(self)):
                masks[n] = self._clean_slice(n, common[n], target_labels, targets[n] is not None)
        common[common < 0] = 0 if pool.count == 0 else _find_most_frequent(common)
        labels = compact_labels(common)
        return Segments(labels, masks, _rename_labels(common, labels, target_labels))

    def _clean_slice(self, n: int, labels: np.ndarray, target: Labels, drawn: bool) -> np.ndarray:
        """Clean the target's mask in slice ``n``.

        Args:
          n: number of the slice.
          labels: (H, W) labels of the slice.
          target: target labels.
          drawn: whether the fit has refined the outline already.
        """
        raw = np.isin(labels, target)
        mask = clean(raw, self._config.segment)
        image = self.piece(n)
        if drawn or image is None or self._config.segment.boundary == "clusters":
            return mask
        return refine_outline(mask, raw, image, self._config.segment)

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        blank = np.ones(self.pixels, np.float32)
        return np.stack([blank if share is None else share for share in shares])

    def part(self, whole: Segments, index: int) -> np.ndarray:
        return whole.labels[index]

    def panels(self, whole: Segments) -> list[Panel]:
        """Return up to three slices (:func:`choose_shown_slices`), without those of one value."""
        assert self.volume is not None
        result = []
        for n in choose_shown_slices(whole.mask):
            image = self.piece(n)
            if image is not None:
                name = f"{Path(self.volume.name).name} {n + 1}/{len(self)}"
                result.append(Panel(image.rgb8(), whole.labels[n], whole.mask[n], name))
        return result


def _make_piece(pixels: np.ndarray, name: str) -> Image | None:
    """Make a piece of a slice or tile; return None if all its pixels are equal."""
    if (pixels == pixels[0, 0]).all():
        return None
    return (
        Image(np.ascontiguousarray(pixels), name)
        if pixels.dtype == np.uint8
        else Image(np.ascontiguousarray(pixels, np.float32), name)
    )


def _find_most_frequent(labels: np.ndarray) -> int:
    return int(np.bincount(labels[labels >= 0].ravel()).argmax())


def _rename_labels(old: np.ndarray, new: np.ndarray, labels: tuple[int, ...]) -> tuple[int, ...]:
    """Translate ``labels`` from the numbers of ``old`` to those of ``new``, an equal partition."""
    table = np.zeros(int(old.max()) + 1, np.int32)
    table[old.ravel()] = new.ravel()
    return tuple(sorted(int(table[label]) for label in labels))
