"""Write masks as COCO annotations: polygons, and run lengths for masks with holes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from s3net_jax.measure.polygons import trace_polygons

__all__ = ["COCO_START", "CocoImage", "annotate", "encode_coco", "encode_lengths"]

_INFO = {"description": "Masks by s3net-jax"}
COCO_START = json.dumps({"info": _INFO})[:-1].encode()
"""First bytes of every file that :func:`encode_coco` makes."""


class CocoImage(NamedTuple):
    """One image of a COCO file.

    Attributes:
      file_name: name of the image file.
      size: (H, W).
      annotations: one for each object, from :func:`annotate`.
    """

    file_name: str
    size: tuple[int, int]
    annotations: list[dict[str, Any]]


def annotate(mask: np.ndarray) -> dict[str, Any]:
    """Describe one object as a COCO annotation, without its numbers.

    The segmentation is a list of polygons if the object has no holes, which COCO's polygons cannot
    have, and otherwise a compressed run-length encoding; both give the mask back exactly.
    ``iscrowd`` is 0.

    Args:
      mask: (H, W) bool, with at least one pixel.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    polygons = trace_polygons(mask)
    segmentation: Any = [polygon.outline.ravel().tolist() for polygon in polygons]
    if any(polygon.holes for polygon in polygons):
        segmentation = {"size": list(mask.shape), "counts": encode_lengths(mask)}
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    return {
        "category_id": 1,
        "segmentation": segmentation,
        "area": int(np.count_nonzero(mask)),
        "bbox": [int(value) for value in box],
        "iscrowd": 0,
    }


def encode_coco(images: Iterable[CocoImage]) -> bytes:
    """Encode images and their annotations as a COCO JSON file (ASCII).

    Images and annotations are numbered from 1 in the order given. The only category is ``target``.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        height, width = image.size
        listed.append(
            {"id": number, "file_name": image.file_name, "width": width, "height": height}
        )
        for annotation in image.annotations:
            place = {"id": len(annotations) + 1, "image_id": number}
            annotations.append(place | annotation)
    content = {
        "info": _INFO,
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "target"}],
    }
    return json.dumps(content).encode() + b"\n"


def encode_lengths(mask: np.ndarray) -> str:
    """Encode a mask as COCO's compressed run lengths.

    The runs go down the columns and begin with a run of zeros, which may be empty. From the fourth
    on, the difference to the run before the last one is stored. A number is cut into groups of five
    bits, the lowest first; bit 6 says that another group follows, and the characters begin at 48
    (``rleToString`` in maskApi.c of pycocotools).

    Args:
      mask: (H, W) bool.
    """
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    if flat[0]:
        runs.insert(0, 0)
    text: list[str] = []
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        while True:
            group, value = value & 0x1F, value >> 5
            # The rest is only the sign, which the highest bit of this group repeats.
            is_last = value == (-1 if group & 0x10 else 0)
            text.append(chr(48 + (group if is_last else group | 0x20)))
            if is_last:
                break
    return "".join(text)
