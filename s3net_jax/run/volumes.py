"""A volume in memory or in a file: opened, fitted slice by slice as in a run, joined."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import InputError
from s3net_jax.io import (
    Resolution,
    SliceView,
    Volume,
    import_extra,
    parse_window,
    place_nifti,
)
from s3net_jax.masks import Confidence, Segments, check_point
from s3net_jax.measure import Row, check_pixel_size
from s3net_jax.run.bar import ProgressView, open_listener, open_view
from s3net_jax.run.batches import Job, make_chunks
from s3net_jax.run.cases import VolumeCase, open_case
from s3net_jax.run.confidence import assess_result
from s3net_jax.run.engines import LocalEngine
from s3net_jax.run.fitter import Progress
from s3net_jax.run.inputs import discover
from s3net_jax.run.measuring import hide_slices, make_subject
from s3net_jax.run.network import Network, is_trained_on_folder
from s3net_jax.run.outcome import Fitted, check_fitted
from s3net_jax.run.training import train_on_pieces
from s3net_jax.run.volume_network import find_networks

__all__ = ["VolumeSegmentation", "open_volume", "segment_volume_case"]

_LISTED = 5  # inputs of a folder that a sentence names at most


@dataclass(frozen=True, eq=False)
class VolumeSegmentation:
    """One volume's result.

    Attributes:
      labels: int32, 0..L−1 by decreasing volume, on the grid of the volume: (Z, Y, X) for an array,
        the axes of the file or of the nibabel image otherwise.
      mask: bool, of the same shape, the target.
      target: the labels that the target was made from.
      affine: (4, 4) float64, from indices of ``labels`` to millimetres towards the patient's right,
        front and head (RAS+); None for pages without a place in space.
      seconds: time taken, compilation included.
      notes: sentences a user should know, as of :class:`Segmentation`.
      confidence: estimate of how good the mask is, made without ground truth, as of
        :class:`Segmentation`; None in results that are made without it.
      view: the volume as slices, or None; its voxels stay in memory for :meth:`measure`.
      resolution: pixel size that a TIFF stack records, or None.
      slices: indices of the slices of ``view`` that were segmented, or None; in the others,
        ``labels`` is 0 and ``mask`` False.
    """

    labels: np.ndarray
    mask: np.ndarray
    target: tuple[int, ...]
    affine: np.ndarray | None
    seconds: float
    notes: tuple[str, ...] = ()
    confidence: Confidence | None = field(default=None, kw_only=True)
    view: SliceView | None = field(default=None, kw_only=True)
    resolution: Resolution | None = field(default=None, kw_only=True)
    slices: range | None = field(default=None, kw_only=True)

    def measure(
        self, of: str = "target", *, pixel_size: float | Sequence[float] | None = None
    ) -> Row | list[Row]:
        """Measure the target, the clusters or the instances, as the command does.

        Args:
          of: ``target``, ``clusters`` or ``instances`` (connected parts of the target).
          pixel_size: size of a voxel in millimetres, one number for the pixels of a slice, (x, y),
            or (x, y, z) with the distance between slices; None takes the size that the volume has.

        Returns:
          For the target, a dict of the measures that :func:`s3net_jax.measure.measure_mask`
          describes; for clusters and instances, a list with a dict for each (see
          :meth:`Segmentation.measure`). x, y and slice count along the slices as they were
          segmented: upright, from the left, the top, and the feet, back or left. The values of a
          CT in DICOM are ``mean_hu`` and ``sd_hu``. A volume of one slice is measured as an image.

        Raises:
          ValueError: ``of`` or ``pixel_size`` is invalid.
          RuntimeError: the result has no ``view``.
        """
        if self.view is None:
            raise RuntimeError("This result was made without its volume, so it can't be measured.")
        view = self.view
        values = view.get_slices(view.volume.voxels)
        subject = make_subject(values, self.resolution, check_pixel_size(pixel_size), view)
        whole = Segments(view.get_slices(self.labels), view.get_slices(self.mask), self.target)
        return subject.measure_parts(of, hide_slices(whole, self.slices))

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.mask.shape))
        clusters, share = int(self.labels.max()) + 1, 100 * self.mask.mean()
        target = f"target {share:.1f} % of the volume" if share else "empty mask"
        noun = "cluster" if clusters == 1 else "clusters"
        trust = "" if self.confidence is None else f"{self.confidence}, "
        return (
            f"VolumeSegmentation({shape} voxels, {clusters} {noun}, {target}, {trust}"
            f"{self.seconds:.1f} s)"
        )


def open_volume(volume: Any, spacing: Sequence[float] | None, config: Config) -> VolumeCase:
    """Open a volume as slices.

    Args:
      volume: path, nibabel image or array, as :func:`s3net_jax.segment_volume` accepts.
      spacing: voxel size of an array in millimetres, (Z, Y, X); None for other volumes.
      config: configuration of the fits.

    Raises:
      InputError: the volume is unreadable or contains nothing to segment.
      TypeError: ``spacing`` is given for a volume that is not an array.
      ValueError: ``spacing`` is not three positive numbers.
    """
    is_path = isinstance(volume, (str, os.PathLike))
    is_placed = hasattr(volume, "dataobj") and hasattr(volume, "affine")
    if spacing is not None and (is_path or is_placed):
        what = "A file" if is_path else "A nibabel image"
        raise TypeError(f"{what} has its own spacing: omit the argument spacing.")
    if is_path:
        return _open_path(volume, config)
    window = parse_window(config.input.window)
    opened = _read_image(volume) if is_placed else _read_array(volume, spacing, config)
    case = VolumeCase(opened, config, window)
    check_point(config.segment.target, case.pixels, opened.name)
    return case


def segment_volume_case(
    case: VolumeCase,
    config: Config,
    seed: int,
    progress: Progress | ProgressView | bool | None,
    network: Network | None = None,
) -> VolumeSegmentation:
    """Segment an opened volume, in the batches that a run of the command makes.

    A method that trains on a folder trains on the slices first, and so does every method with
    ``fit.volume="shared"``, unless a ``network`` is given.

    Raises:
      DivergedError: the fit of a slice diverged, and did so again with a lower learning rate.
      RuntimeError: the fit of a slice failed otherwise.
    """
    assert case.volume is not None
    start = time.perf_counter()
    if network is None and is_trained_on_folder(config):
        slices = (case.piece(index) for index in range(len(case)))
        network = train_on_pieces(slices, config, (seed,), progress)[seed]
    networks = {} if network is None else {seed: network}
    network = _find_network(case, config, seed, networks, progress)
    images = ((index, case.piece(index)) for index in range(len(case)))
    jobs = (Job(0, index, seed, image, network) for index, image in images if image is not None)
    engine, fits = LocalEngine(config), dict[int, Fitted]()
    # At most: slices of one colour are not fitted.
    count = 0 if network is not None else len(case.chosen) * config.fit.members
    with open_listener(progress, count, config.fit.steps) as listener:
        for chunk, outcomes in engine.run(make_chunks(jobs, config, engine.size()), listener):
            for job, outcome in zip(chunk.jobs, outcomes, strict=True):
                fits[job.index] = check_fitted(outcome, job.image.name)
    found = [fits.get(index) for index in range(len(case))]
    whole = case.join(
        [None if fit is None else fit.labels for fit in found],
        [None if fit is None else fit.target for fit in found],
    )
    notes = dict.fromkeys(note for index in sorted(fits) for note in fits[index].notes)
    return VolumeSegmentation(
        labels=case.view.restore(whole.labels),
        mask=case.view.restore(whole.mask),
        target=whole.target,
        affine=case.volume.affine,
        seconds=time.perf_counter() - start,
        notes=(*case.notes, *notes, *whole.notes(case.volume.name)),
        confidence=assess_result(case, whole, list(fits.values()), config),
        view=case.view,
        resolution=case.resolution,
        slices=case.chosen,
    )


def _find_network(
    case: VolumeCase,
    config: Config,
    seed: int,
    networks: Mapping[int, Network],
    progress: Progress | ProgressView | bool | None,
) -> Network | None:
    """Find the network that labels the slices, and show its training; None if slices are fitted.

    A listener gets every step. A bar counts networks, whose programs JAX then keeps on disk: those
    with reports of steps would be compiled again in every process.
    """
    if callable(progress):
        found = find_networks(case, config, (seed,), networks, lambda *_: None, progress)
        return found.networks.get(seed)
    trains = config.fit.volume == "shared" and not networks
    steps, members = config.fit.steps, config.fit.members
    with open_view(progress, steps * members if trains else 0) as view:

        def show(done: int, total: int) -> None:
            which = "network" if total == 1 else f"network {done + 1} of {total}"
            if view is not None:
                view(done * steps, f"training {which}" if done < total else "choosing a network")

        return find_networks(case, config, (seed,), networks, show).networks.get(seed)


def _open_path(path: str | os.PathLike[str], config: Config) -> VolumeCase:
    """Open the volume in a file, or the only one in a folder."""
    sources = discover([path])
    if len(sources) != 1:
        names = [source.path.name for source in sources[:_LISTED]]
        more = f" and {len(sources) - _LISTED} more" if len(sources) > _LISTED else ""
        raise InputError(
            f"{os.fspath(path)} holds {len(sources)} images and volumes, {', '.join(names)}{more}: "
            "give one of them, or use the command."
        )
    case = open_case(sources[0], config)
    if not isinstance(case, VolumeCase):
        raise InputError(f"{sources[0].path} is a picture, not a volume: use s3net_jax.segment.")
    return case


def _read_image(image: Any) -> Volume:
    """Read a nibabel image as its file is read."""
    name = image.get_filename() or "The nibabel image"
    shape, notes = tuple(int(side) for side in image.shape), []
    count = math.prod(shape[3:])
    if count > 1:
        notes.append(f"{name} holds {count} volumes; only the first is segmented.")
    values = np.asanyarray(image.dataobj[(..., *(0,) * (len(shape) - 3))])
    values = values.reshape(values.shape + (1,) * (3 - values.ndim))
    if values.dtype.names:
        values = np.stack([values[color] for color in "RGB"], -1).astype(np.uint8)
    elif values.dtype.kind == "f":
        values, more = _repair_values(values, name)
        notes += more
    if hasattr(image.header, "get_sform"):
        affine, more = place_nifti(image, name)
        notes += more
    else:  # of another format: nibabel knows its affine
        affine = np.asarray(image.affine, np.float64)
    return Volume(_check_values(values, name), affine, name, None, "nifti", notes=tuple(notes))


def _repair_values(values: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Replace NaN and infinity by the smallest finite value, and take float32 unless it can't hold
    the values: what reading a NIfTI file does."""
    good = values[np.isfinite(values)]
    wrong = values.size - good.size
    if good.size == 0:
        raise InputError(f"{name} holds no finite value: there is nothing to segment.")
    largest = np.abs(good).max()
    kind = np.float32 if largest == 0 or 1e-30 < largest < 1e38 else values.dtype
    result = values.astype(kind)
    if not wrong:
        return result, []
    low = result.dtype.type(good.min())
    note = f"{name} has {wrong:,} voxels that are NaN or infinite; they count as {low:g}."
    return np.where(np.isfinite(values), result, low), [note]


def _read_array(array: Any, spacing: Sequence[float] | None, config: Config) -> Volume:
    name = "The array"
    try:
        values = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors on a GPU
        detail = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(f"{name} cannot be converted to a numeric array ({detail}).") from None
    affine = None
    if spacing is not None or config.input.axis != "auto":
        z, y, x = _check_spacing((1, 1, 1) if spacing is None else spacing)
        import_extra("nibabel", f"{name} is given a spacing or an axis")
        # Z towards the head, rows towards the back, columns towards the patient's left, as the
        # slices of DICOM series and of SimpleITK's arrays mostly are.
        affine = np.array([[0, 0, -x, 0], [0, -y, 0, 0], [z, 0, 0, 0], [0, 0, 0, 1]], np.float64)
    acquired = 0 if config.input.axis == "auto" else None
    return Volume(_check_values(values, name), affine, name, None, "stack", acquired)


def _check_values(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype.kind not in "buif":
        raise InputError(f"{name} has dtype {values.dtype}; a volume needs a numeric dtype.")
    is_color = values.ndim == 4 and values.shape[-1] == 3 and values.dtype == np.uint8
    if values.ndim != 3 and not is_color:
        raise InputError(
            f"{name} has shape {values.shape} and dtype {values.dtype}; a volume must have shape "
            "(Z, Y, X), or (Z, Y, X, 3) with uint8 colours."
        )
    return values.astype(np.uint8) * np.uint8(255) if values.dtype == bool else values


def _check_spacing(spacing: Any) -> tuple[float, float, float]:
    try:
        z, y, x = (float(value) for value in spacing)
    except (TypeError, ValueError):
        z = y = x = math.nan
    if not (math.isfinite(z + y + x) and min(z, y, x) > 0):
        raise ValueError(
            f"spacing can't be {spacing!r}: give three positive numbers, the millimetres between "
            "voxels along Z, Y and X."
        )
    return z, y, x
