"""Split a volume into slices and join their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from s3net_jax.config import Config, SegmentConfig, find_slices
from s3net_jax.errors import InputError
from s3net_jax.io import (
    Image,
    Resolution,
    SliceView,
    Volume,
    check_scaling,
    invert,
    scale_to_unit,
)
from s3net_jax.masks import (
    LabelPool,
    Segments,
    check_target,
    choose_target,
    choose_volume_target,
    clean,
    compact_labels,
    draw_volume_mask,
    fill_pockets,
    find_majority_labels,
    merge_clusters,
    refine_outline,
    thin_volume,
)
from s3net_jax.run.pieces import Labels, Panel, make_piece
from s3net_jax.run.shown import choose_shown_slices

__all__ = ["VolumeCase"]


class VolumeCase:
    """A volume that is fitted slice by slice, with labels that continue across slices."""

    resolution: Resolution | None = None

    def __init__(
        self, volume: Volume, config: Config, window: tuple[float, float] | None = None
    ) -> None:
        self.volume: Volume | None = volume
        self.view = SliceView(volume, config.input.axis)
        self.name = volume.name
        self.chosen = find_slices(config.input.slices, len(self.view), self.name)
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
        blank = sum(self.piece(n) is None for n in self.chosen)
        if blank == len(self.chosen):
            raise InputError(
                f"{volume.name} has only one value in every slice: there is nothing to segment."
            )
        if blank:
            self.notes.append(
                f"{blank} of the {len(self.chosen)} slices have only one value; they get label 0."
            )

    @property
    def has_common_labels(self) -> bool:
        """Whether one network labels all slices, so that a label means the same everywhere."""
        return self._config.fit.volume == "shared"

    def list_filled(self) -> list[int]:
        """List the slices that have more than one value."""
        return [n for n in range(len(self)) if self.piece(n) is not None]

    def __len__(self) -> int:
        return len(self.view)

    def piece(self, index: int) -> Image | None:
        assert self.volume is not None
        if index not in self.chosen:
            return None
        return make_piece(self._slices[index], f"slice {index + 1} of {self.volume.name}")

    def join(
        self, label_maps: Sequence[np.ndarray | None], targets: Sequence[Labels | None]
    ) -> Segments:
        if self.has_common_labels:
            return self._choose_once(_stack_common(label_maps, self.pixels))
        drawn = [
            None if labels is None or target is None else np.isin(labels, target)
            for labels, target in zip(label_maps, targets, strict=True)
        ]
        return self._choose(self._pool_labels(label_maps), drawn)

    def join_labels(self, label_maps: Sequence[np.ndarray | None]) -> np.ndarray:
        if self.has_common_labels:
            common = _stack_common(label_maps, self.pixels)
        else:
            common = self._pool_labels(label_maps)
        return compact_labels(_fill_blank(common))

    def choose(self, labels: np.ndarray) -> Segments:
        common = labels.copy()
        common[[self.piece(n) is None for n in range(len(self))]] = -1
        if self.has_common_labels:
            return self._choose_once(common)
        return self._choose(common, [None] * len(self))

    def select(self, labels: np.ndarray, raw: np.ndarray, target: Labels) -> Segments:
        raw = raw & np.isin(np.arange(len(self)), self.chosen)[:, None, None]
        config = self._config.segment
        raw, kept = fill_pockets(raw, config), replace(config, fill_holes=False)
        if self.has_common_labels:
            mask = draw_volume_mask(raw, self.piece, kept)
        else:
            mask = np.stack([self._clean_slice(n, part, kept) for n, part in enumerate(raw)])
        return Segments(labels, fill_pockets(mask, config), target)

    def _choose_once(self, common: np.ndarray) -> Segments:
        """Choose the target in 3D, in labels that mean the same in every slice.

        Args:
          common: (slices, H, W) common labels; −1 in slices of a single value.
        """
        config, filled = self._config.segment, self.list_filled()

        def show(n: int) -> np.ndarray:
            image = self.piece(n)
            assert image is not None
            return image.rgb8()

        name = "The volume" if self.volume is None else self.volume.name
        chosen = choose_volume_target(common, thin_volume(filled, show), config, name)
        mask = draw_volume_mask(np.isin(common, chosen), self.piece, config)
        common = _fill_blank(common)
        labels = compact_labels(common)
        whole = Segments(labels, mask, _rename_labels(common, labels, chosen))
        return self._merge(whole)

    def _pool_labels(self, label_maps: Sequence[np.ndarray | None]) -> np.ndarray:
        """Give all slices common labels; those of a single value get −1."""
        pool = LabelPool()
        common = np.full((len(self), *self.pixels), -1, np.int32)
        last: np.ndarray | None = None
        for n, labels in enumerate(label_maps):
            if labels is None or self.piece(n) is None:
                continue
            known = np.full(self.pixels, -1, np.int32) if last is None else last
            colors = self._slices[n] if self._slices.ndim == 4 else self._slices[n][..., None]
            scale = np.float32(1 / 255 if colors.dtype == np.uint8 else 1)
            last = common[n] = pool.add(labels, colors.astype(np.float32) * scale, known)
        return common

    def _choose(self, common: np.ndarray, targets: Sequence[np.ndarray | None]) -> Segments:
        """Choose the target in common labels.

        Args:
          common: (slices, H, W) common labels; −1 in slices of a single value.
          targets: bool pixels of the target that the fit of each slice chose, or None.
        """
        chosen: list[Labels] = []
        local = check_target(self._config.segment.target)[1] is not None
        masks = np.zeros(common.shape, bool)
        for n, given in enumerate(targets):
            image = self.piece(n)
            if image is None or common[n, 0, 0] < 0:
                chosen.append(())
                continue
            if given is not None:
                chosen.append(tuple(np.unique(common[n][given]).tolist()))
                continue
            target = choose_target(common[n], image.rgb8(), self._config.segment, image.name)
            chosen.append(target.labels)
            masks[n] = target.mask
        if local:  # the target is a point, which selects a cluster in every slice
            target_labels = tuple(sorted({label for labels in chosen for label in labels}))
        else:
            target_labels = find_majority_labels(list(common), chosen)
            for n in range(len(self)):
                raw = np.isin(common[n], target_labels)
                is_drawn = targets[n] is not None
                masks[n] = self._clean_slice(n, raw, self._config.segment, is_drawn)
        common = _fill_blank(common)
        labels = compact_labels(common)
        whole = Segments(labels, masks, _rename_labels(common, labels, target_labels))
        return self._merge(whole)

    def _merge(self, whole: Segments) -> Segments:
        """Merge clusters by their colours in the slices that are segmented."""
        count = self._config.segment.clusters
        if len(self.chosen) == len(self):
            return merge_clusters(whole, self._slices, count)
        part = slice(self.chosen.start, self.chosen.stop)
        small = replace(whole, labels=whole.labels[part], mask=whole.mask[part])
        merged = merge_clusters(small, self._slices[part], count)
        labels = np.zeros_like(whole.labels)
        labels[part] = merged.labels
        return replace(merged, labels=labels, mask=whole.mask)

    def _clean_slice(
        self, n: int, raw: np.ndarray, config: SegmentConfig, drawn: bool = False
    ) -> np.ndarray:
        """Clean the target's mask in slice ``n``.

        Args:
          n: number of the slice.
          raw: (H, W) bool, pixels of the target's clusters.
          config: segmentation settings; the clean-up and boundary fields are read.
          drawn: whether the fit has refined the outline already.
        """
        mask = clean(raw, config)
        image = self.piece(n)
        if drawn or image is None or config.boundary == "clusters":
            return mask
        return refine_outline(mask, raw, image, config)

    def join_shares(self, shares: Sequence[np.ndarray | None]) -> np.ndarray:
        blank = np.ones(self.pixels, np.float32)
        return np.stack([blank if share is None else share for share in shares])

    def part(self, whole: Segments, index: int) -> np.ndarray:
        return whole.labels[index]

    def panels(self, whole: Segments) -> list[Panel]:
        """Return up to three slices (:func:`choose_shown_slices`), without those of one value."""
        assert self.volume is not None
        result = []
        for n in choose_shown_slices(whole.mask, self.chosen):
            image = self.piece(n)
            if image is not None:
                name = f"{Path(self.volume.name).name} {n + 1}/{len(self)}"
                result.append(Panel(image.rgb8(), whole.labels[n], whole.mask[n], name))
        return result

    def get_values(self) -> np.ndarray:
        assert self.volume is not None
        return self.view.get_slices(self.volume.voxels)


def _stack_common(label_maps: Sequence[np.ndarray | None], pixels: tuple[int, int]) -> np.ndarray:
    """Stack label maps whose labels are common already; slices without one get −1."""
    blank = np.full(pixels, -1, np.int16)
    return np.stack([blank if labels is None else labels for labels in label_maps])


def _fill_blank(common: np.ndarray) -> np.ndarray:
    """Replace −1, the mark of slices of a single value, by the most frequent label."""
    # Slice by slice: bincount copies its argument to 8 bytes an entry.
    counts = np.zeros(int(common.max()) + 2, np.int64)
    for part in common:
        counts += np.bincount(part.ravel() + 1, minlength=counts.size)
    frequent = counts[1:].argmax() if counts[1:].any() else 0
    return np.where(common < 0, common.dtype.type(frequent), common)


def _rename_labels(old: np.ndarray, new: np.ndarray, labels: tuple[int, ...]) -> tuple[int, ...]:
    """Translate ``labels`` from the numbers of ``old`` to those of ``new``, an equal partition."""
    table = np.zeros(int(old.max()) + 1, np.int32)
    table[old.ravel()] = new.ravel()
    return tuple(sorted(int(table[label]) for label in labels))
