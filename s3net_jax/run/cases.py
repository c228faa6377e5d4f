"""An input as pieces to be fitted (the image; tiles of it; slices of a volume), and back."""

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
from s3net_jax.run.tiles import Tiling

__all__ = ["Case", "ImageCase", "Panel", "TiledCase", "VolumeCase", "image_case", "open_case"]


Labels = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture for a person: image (H, W, 3) uint8, labels (H, W), mask (H, W), a name."""

    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    name: str


class Case(Protocol):
    """One opened input.

    Attributes:
      notes: sentences a user should know.
      pixels: (H, W) of its images.
      volume: the volume, or None for a picture.
      resolution: of a picture or TIFF stack, if its file gives one.
    """

    notes: list[str]
    pixels: tuple[int, int]
    volume: Volume | None
    resolution: Resolution | None

    def __len__(self) -> int:
        """How many pieces there are."""
        ...

    def piece(self, index: int) -> Image | None:
        """Piece ``index``, or None if it shows one single colour and can't be fitted."""
        ...

    def join(
        self, label_maps: Sequence[np.ndarray | None], targets: Sequence[Labels | None]
    ) -> Segments:
        """Labels, mask and target of the whole, (H, W), or (slices, H, W) of a volume.

        Args:
          label_maps: of each piece, or None of one that can't be fitted.
          targets: the labels that are the target in each piece; None where that is still to be
            chosen.
        """
        ...

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        """What :meth:`join` does, for shares in [0, 1] a pixel."""
        ...

    def part(self, whole: Segments, index: int) -> np.ndarray:
        """The labels (h, w) that the whole has where piece ``index`` lies."""
        ...

    def panels(self, whole: Segments) -> list[Panel]:
        """What the overlay shows."""
        ...


def open_case(source: Source, config: Config) -> Case:
    """Read an input.

    Raises:
      InputError: it can't be read, or can't be segmented.
      ConfigError: ``config.input.window`` is none.
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
    """Open a picture: in one piece, or in tiles if it is larger than one."""
    if config.input.tile and max(image.shape) > config.input.tile:
        return TiledCase(image, config)
    return ImageCase(image, config)


class ImageCase:
    """A picture in one piece."""

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
    """A large picture in tiles that overlap, each fitted by itself."""

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
    """A volume, slice by slice, with labels that go on from slice to slice."""

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
            # One window for all slices, or their greys could not be compared.
            values, _ = scale_to_unit(values, volume.name, window)
        elif window is not None:
            self.notes.append(f"{volume.name} has 8 bits: the window is not applied to it.")
        self._slices = invert(values) if volume.white_is_zero else values
        blank = sum(self.piece(n) is None for n in range(len(self)))
        if blank == len(self):
            raise InputError(f"{volume.name} shows one single value: there is nothing to segment.")
        if blank:
            self.notes.append(
                f"{blank} of the {len(self)} slices show one single value each; they have label 0."
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
        if local:  # a point is a place in every slice
            target_labels = tuple(sorted({label for labels in chosen for label in labels}))
        else:
            target_labels = find_majority_labels(list(common), chosen)
            for n in range(len(self)):
                masks[n] = self._clean_slice(n, common[n], target_labels, targets[n] is not None)
        common[common < 0] = 0 if pool.count == 0 else _find_most_frequent(common)
        labels = compact_labels(common)
        return Segments(labels, masks, _rename_labels(common, labels, target_labels))

    def _clean_slice(self, n: int, labels: np.ndarray, target: Labels, drawn: bool) -> np.ndarray:
        """Clean the target in slice ``n``; ``drawn``: its outline has been redrawn already."""
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
        """Three slices: evenly among those that show the target, or all."""
        assert self.volume is not None
        found = np.flatnonzero(whole.mask.any((1, 2)))
        found = found if found.size else np.arange(len(self))
        places = np.unique(
            found[(np.array([0.2, 0.5, 0.8]) * (found.size - 1)).round().astype(int)]
        )
        result = []
        for n in places:
            image = self.piece(int(n))
            if image is not None:
                name = f"{Path(self.volume.name).name} {n + 1}/{len(self)}"
                result.append(Panel(image.rgb8(), whole.labels[n], whole.mask[n], name))
        return result


def _make_piece(pixels: np.ndarray, name: str) -> Image | None:
    """Make a piece of a slice; None if it shows one single colour."""
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
    """Return the numbers in ``new`` of ``labels`` in ``old``, the same partition."""
    table = np.zeros(int(old.max()) + 1, np.int32)
    table[old.ravel()] = new.ravel()
    return tuple(sorted(int(table[label]) for label in labels))
