"""Write outlines as GeoJSON, as QuPath reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from s3net_jax.io import OUTLINE
from s3net_jax.measure.polygons import Polygon

__all__ = ["encode_geojson"]

Parts = Sequence[Sequence[Polygon]]
"""Polygons of each page; a picture has one page."""


def encode_geojson(objects: Sequence[Parts]) -> bytes:
    """Encode the outlines of objects as a GeoJSON ``FeatureCollection``.

    Coordinates are pixels from the upper left corner of the image, as QuPath reads them with
    *File, Import objects from file*: (x, y), where the centre of the first pixel is (0.5, 0.5). A
    feature is an annotation of the class ``target``. An object that extends over several pages
    of a stack is one feature on each, with the page in ``geometry.plane.z``.

    Args:
      objects: the target, or its instances; each has the polygons of every page.

    Returns:
      ASCII JSON; without objects, a collection without features.
    """
    features = [
        _make_feature(polygons, number, page if len(pages) > 1 else None, len(objects))
        for number, pages in enumerate(objects)
        for page, polygons in enumerate(pages)
        if polygons
    ]
    content = {"type": "FeatureCollection", "features": features}
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _make_feature(
    polygons: Sequence[Polygon], number: int, page: int | None, count: int
) -> dict[str, Any]:
    shapes = [_list_rings(polygon) for polygon in polygons]
    kind = "Polygon" if len(shapes) == 1 else "MultiPolygon"
    geometry: dict[str, Any] = {
        "type": kind,
        "coordinates": shapes[0] if kind == "Polygon" else shapes,
    }
    if page is not None:
        geometry["plane"] = {"c": -1, "z": page, "t": 0}  # −1: all channels
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {
            "objectType": "annotation",
            "name": "target" if count == 1 else f"target {number + 1}",
            "classification": {"name": "target", "color": [int(value) for value in OUTLINE]},
        },
    }


def _list_rings(polygon: Polygon) -> list[list[list[int]]]:
    """List the rings of a polygon; in GeoJSON, a ring ends with its first corner."""
    rings = [ring.tolist() for ring in (polygon.outline, *polygon.holes)]
    return [[*ring, ring[0]] for ring in rings]
