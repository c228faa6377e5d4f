"""Write outlines as ImageJ regions of interest."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from s3net_jax.measure.polygons import Polygon

__all__ = ["encode_rois"]

_MOVE, _LINE, _CLOSE = 0, 1, 4  # segments of a path, as in java.awt.geom.PathIterator


def encode_rois(objects: Sequence[Sequence[Sequence[Polygon]]]) -> bytes:
    """Encode the outlines of objects as a ZIP file for ImageJ's ROI Manager.

    An object without holes is a traced polygon, one with holes or several parts a composite region.
    Coordinates are corners of pixels, as of ImageJ's own selections. An object of a stack is one
    region on each page.

    Args:
      objects: the target, or its instances; each has the polygons of every page.

    Returns:
      The ZIP file, equal for equal outlines; without objects, an empty one.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, pages in enumerate(objects):
            for page, polygons in enumerate(pages):
                if not polygons:
                    continue
                name = "target" if len(objects) == 1 else f"target-{number + 1}"
                name += f"-{page + 1}" if len(pages) > 1 else ""
                roi = _make_roi(polygons, name, page if len(pages) > 1 else None)
                # A fixed date: the same result gives the same bytes.
                entry = zipfile.ZipInfo(f"{name}.roi", (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, roi.tobytes())
    return content.getvalue()


def _make_roi(polygons: Sequence[Polygon], name: str, page: int | None) -> Any:
    from roifile import ROI_TYPE, ImagejRoi

    rings = [ring for polygon in polygons for ring in (polygon.outline, *polygon.holes)]
    roi = ImagejRoi.frompoints(np.concatenate(rings), name=name, position=page)
    # frompoints adds 1, for points that are pixels rather than corners of pixels.
    roi.right, roi.bottom = roi.right - 1, roi.bottom - 1
    roi.roitype = ROI_TYPE.TRACED
    if len(rings) > 1:
        roi.roitype = ROI_TYPE.RECT  # with a path: a composite region
        roi.integer_coordinates = roi.subpixel_coordinates = None
        roi.n_coordinates = 0
        roi.multi_coordinates = np.concatenate([_make_path(ring) for ring in rings])
        roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def _make_path(ring: np.ndarray) -> np.ndarray:
    """Return a closed path of straight lines: (type, x, y) for each corner, then its end."""
    kinds = np.full(len(ring), _LINE)
    kinds[0] = _MOVE
    path = np.column_stack([kinds, ring]).astype(np.float32).ravel()
    return np.append(path, np.float32(_CLOSE))
