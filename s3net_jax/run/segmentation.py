"""Define the result of one image, which notebooks can display, draw and save."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import Config, SegmentConfig
from s3net_jax.errors import OutputError
from s3net_jax.io import (
    OUTLINE,
    Image,
    Resolution,
    make_cluster_colors,
    make_folder,
    sync_folder,
    write_labels,
    write_mask,
    write_picture,
)
from s3net_jax.masks import (
    Confidence,
    Marks,
    Pick,
    Segments,
    draw_marks,
    label_instances,
    parse_choice,
)
from s3net_jax.measure import Row, check_pixel_size
from s3net_jax.report import Markup, draw_overlay, element
from s3net_jax.run.cases import ImageCase
from s3net_jax.run.choosing import Chosen, choose_again, correct_with_marks, make_choice_config
from s3net_jax.run.confidence import assess_result
from s3net_jax.run.measuring import make_subject
from s3net_jax.run.names import make_names

__all__ = ["Segmentation"]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Result of segmenting one image. A notebook displays it as its overlay.

    For an image that is cut into tiles (``config.input.tile``), ``history``, ``steps``,
    ``label_maps``, ``member``, ``logits`` and ``params`` belong to the tile in the middle. With
    several members (``config.fit.members``), as in the preset ``best``, they belong to the member
    that provides the target, or to the first successful one if ``labels`` is a consensus. A
    prediction of a trained network has 0 steps and an empty history.

    Attributes:
      labels: (H, W) int32 label map at the size of the image, 0 to L−1 by decreasing area.
      mask: (H, W) bool mask of the target.
      target: labels that form the target.
      history: ``loss``, ``ce``, ``affine``, ``spatial`` and ``labels``, each a (steps,) array.
      steps: number of optimisation steps.
      label_maps: (steps, h, w) pseudo labels of each step at the size of the network, or None.
      seconds: time taken, including compilation; in a batch, an equal share of the batch's time,
        and of the training of a method that trains on all images.
      notes: messages for the user, about parts of the image that were omitted or changed, repeated
        fits and empty masks.
      image: (H, W, 3) uint8 image as displayed. An 8-bit RGB array is not copied.
      path: file of the image, or None.
      resolution: pixel size recorded in the file, or None.
      member: number of that member, from 0.
      logits: (h, w, K) float32 logits of its trained network at the network's size (float64 if the
        model is float64), or None unless requested. Their argmax is the final label map of this
        network, before cleaning, resizing and the choice between proposals.
      params: its trained parameters, or None unless requested: a state of the network, a pytree
        with NumPy arrays, which :func:`s3net_jax.fit` takes as ``params``.
      confidence: estimate of how good the mask is, made without ground truth: ``expected_dsc`` in
        [0, 1], and ``check``, whether a person should check the mask (see the page Confidence of
        the documentation); None in results that are made without it.
      clusters: (H, W) int32 label map without the target, from which :meth:`retarget` chooses;
        None if it is ``labels``.
      config: settings of the target, its clean-up and its outline.
    """

    labels: np.ndarray
    mask: np.ndarray
    target: tuple[int, ...]
    history: dict[str, np.ndarray]
    steps: int
    label_maps: np.ndarray | None
    seconds: float
    notes: tuple[str, ...] = ()
    image: np.ndarray = field(kw_only=True)
    path: Path | None = field(default=None, kw_only=True)
    resolution: Resolution | None = field(default=None, kw_only=True)
    member: int = field(default=0, kw_only=True)
    logits: np.ndarray | None = field(default=None, kw_only=True)
    params: Any = field(default=None, kw_only=True)
    confidence: Confidence | None = field(default=None, kw_only=True)
    clusters: np.ndarray | None = field(default=None, kw_only=True)
    config: SegmentConfig = field(default_factory=SegmentConfig, kw_only=True)

    @property
    def segments(self) -> Segments:
        """Labels, mask and target without the other fields."""
        return Segments(self.labels, self.mask, self.target)

    def instances(self) -> np.ndarray:
        """Number the connected parts of the target by decreasing area.

        Returns:
          (H, W) int32 label map: 0 outside the target, 1 for the largest part.
        """
        return label_instances(self.mask)

    def measure(
        self, of: str = "target", *, pixel_size: float | Sequence[float] | None = None
    ) -> Row | list[Row]:
        """Measure the target, the clusters or the instances, as the command does.

        Args:
          of: ``target``, ``clusters`` or ``instances`` (connected parts of the target).
          pixel_size: size of a pixel in millimetres, one number or (x, y); None takes the size that
            a TIFF file records (:attr:`resolution`), if any.

        Returns:
          For the target, a dict of the measures that :func:`s3net_jax.measure.measure_mask`
          describes; the ending of a name is its unit. Colours are 0 to 255, as shown. For clusters
          and instances, a list with a dict for each, whose first entries are ``cluster`` and
          ``is_target`` (0 or 1), or ``instance``.

        Raises:
          ValueError: ``of`` or ``pixel_size`` is invalid.
        """
        size = check_pixel_size(pixel_size)
        subject = make_subject(self.image, self.resolution, size)
        return subject.measure_parts(of, self.segments)

    def retarget(self, target: str) -> Segmentation:
        """Choose another target among the clusters, without a new fit.

        Args:
          target: rule as for :func:`s3net_jax.segment`; or ``label:2,3`` for clusters 2 and 3 of
            ``clusters`` (or of ``labels``, if that is None), ``label:2+3`` to merge them, and
            ``label:+4,-5`` to add cluster 4 to the present target and to remove cluster 5.

        Returns:
          A new result; this one does not change.

        Raises:
          ConfigError: the target is not a rule or a list of labels.
          InputError: a label does not exist, or a point is outside the image.
        """
        choice = parse_choice(target)
        case = self._open_case(choice)
        chosen = choose_again(case, self._clusters, self.segments, choice)
        return self._replace_target(case, chosen, make_choice_config(self._make_config(), choice))

    def correct(self, inside: Marks = (), outside: Marks = ()) -> Segmentation:
        """Correct the mask with marks inside and outside the object, without a new fit.

        Marks that were used before are not remembered: pass them again together with new ones.

        Args:
          inside: pixels of the object: points (x, y), counted from the left and from the top, or
            a mask of strokes, (H, W) bool.
          outside: pixels that do not belong to the object, in the same form.

        Returns:
          A new result, whose mask is a separate cluster; this one does not change.

        Raises:
          InputError: there are no marks, a mark is outside the image, or a pixel has both marks.
          TypeError: marks are neither points nor a mask.
        """
        case = self._open_case("all")
        drawn = [draw_marks(marks, self.mask.shape, case.name) for marks in (inside, outside)]
        chosen = correct_with_marks(case, self._clusters, self.mask, *drawn)
        return self._replace_target(case, chosen, make_choice_config(self._make_config(), "all"))

    @property
    def _clusters(self) -> np.ndarray:
        return self.labels if self.clusters is None else self.clusters

    def _open_case(self, choice: str | Pick) -> ImageCase:
        name = "The image" if self.path is None else str(self.path)
        config = make_choice_config(self._make_config(), choice)
        return ImageCase(Image(self.image, name, self.path), config)

    def _make_config(self) -> Config:
        return replace(Config(), segment=self.config)

    def _replace_target(self, case: ImageCase, chosen: Chosen, config: Config) -> Segmentation:
        whole = chosen.whole
        return replace(
            self,
            labels=whole.labels,
            mask=whole.mask,
            target=whole.target,
            clusters=chosen.clusters,
            confidence=assess_result(case, whole, (), config),
        )

    def overlay(self) -> PilImage.Image:
        """Draw the input, its clusters and the outline of the target side by side.

        Returns:
          An RGB picture, the one that the command writes as ``STEM.overlay.png``.
        """
        name = "" if self.path is None else self.path.name
        check = self.confidence is not None and self.confidence.check
        return draw_overlay(self.image, self.labels, self.mask, name, check)

    def save(
        self, folder: str | os.PathLike[str], *, name: str | None = None, overwrite: bool = False
    ) -> dict[str, Path]:
        """Write label map, mask and overlay as PNG, as the command does.

        Each file is written atomically. None is written if one of them exists already.

        Args:
          folder: output folder, created if needed.
          name: prefix of the file names; None takes the stem of the image's file, or ``image``.
          overwrite: whether to replace existing files.

        Returns:
          ``labels``, ``mask`` and ``overlay`` → path of the file.

        Raises:
          OutputError: a file exists or can't be written.
          ValueError: ``name`` is empty or names a folder.
        """
        if name is None:
            name = "image" if self.path is None else make_names([self.path])[0]
        if not name.strip(".") or name != os.path.basename(name) or "\\" in name:
            raise ValueError(
                f"name is {name!r}: give a file name without folders, such as 'lesion'."
            )
        place = make_folder(folder)
        files = {kind: place / f"{name}.{kind}.png" for kind in ("labels", "mask", "overlay")}
        for file in files.values():
            if not overwrite and os.path.lexists(file):
                raise OutputError(f"{file} exists: choose another name, or pass overwrite=True.")
        write_labels(files["labels"], self.labels, self.resolution)
        write_mask(files["mask"], self.mask, self.resolution)
        write_picture(files["overlay"], self.overlay(), effort=4)
        sync_folder(place)
        return files

    def plot(self, axes: Any = None) -> Any:
        """Draw the image, its clusters and the target with matplotlib, in pixel coordinates.

        Args:
          axes: three axes of matplotlib; None: those of a new figure.

        Returns:
          The three axes.

        Raises:
          ImportError: matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot
            from matplotlib.colors import ListedColormap
        except ImportError:
            raise ImportError("plot() needs matplotlib: pip install matplotlib.") from None
        if axes is None:
            height, width = self.mask.shape
            size = 12, 0.6 + 4 * height / width
            _, axes = pyplot.subplots(1, 3, figsize=size, layout="constrained")
        count = self.segments.count
        colors = ListedColormap(make_cluster_colors(count) / 255)
        axes[0].imshow(self.image)
        # Label n has the colour from n − 0.5 to n + 0.5.
        axes[1].imshow(
            self.labels, cmap=colors, vmin=-0.5, vmax=count - 0.5, interpolation="nearest"
        )
        axes[2].imshow(self.image)
        if self.mask.any() and not self.mask.all():  # matplotlib warns of an outline without points
            axes[2].contour(self.mask, [0.5], colors=[tuple(value / 255 for value in OUTLINE)])
        share = f"target, {_format_share(self.segments)}" if self.mask.any() else "no target"
        for place, title in zip(axes, ("image", _count(count, "cluster"), share), strict=True):
            place.set_title(title)
        return axes

    def __repr__(self) -> str:
        return f"Segmentation({self._describe()})"

    def _repr_png_(self) -> bytes:
        """Return the overlay for notebooks that show pictures only."""
        content = io.BytesIO()
        self.overlay().save(content, format="PNG")
        return content.getvalue()

    def _repr_html_(self) -> str:
        """Return the overlay with figures and notes."""
        content = io.BytesIO()
        # A notebook keeps this beside the PNG: JPEG takes a fifth of the bytes. Thin coloured lines
        # need the full resolution of the colours.
        self.overlay().save(content, format="JPEG", quality=90, subsampling=0)
        source = f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
        description = self._describe()
        picture = element("img", src=source, alt=description, style="max-width:100%")
        notes = [element("div", note) for note in self.notes]
        caption = element("figcaption", description, *notes)
        return str(element("figure", Markup(picture), caption, style="margin:0"))

    def _describe(self) -> str:
        height, width = self.mask.shape
        clusters = _count(self.segments.count, "cluster")
        steps = _count(self.steps, "step") if self.steps else "predicted"
        target = f"target {_format_share(self.segments)}" if self.mask.any() else "empty mask"
        trust = "" if self.confidence is None else f"{self.confidence}, "
        return (
            f"{width}×{height} pixels, {clusters}, {target}, {trust}{steps}, {self.seconds:.1f} s"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _format_share(segments: Segments) -> str:
    return f"{100 * segments.area:.1f} % of the image"
