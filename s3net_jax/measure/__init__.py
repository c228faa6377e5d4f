"""What a mask measures: area, diameter, colours; and its outlines in the formats of other programs.

:func:`measure_mask` and :func:`measure_labels` measure arrays. A run of the command writes the same
measures as tables (:func:`format_table`).
"""

from __future__ import annotations

from s3net_jax.measure.coco import COCO_START, CocoImage, annotate, encode_coco
from s3net_jax.measure.exports import EXPORTS, check_exports, parse_exports
from s3net_jax.measure.geojson import encode_geojson
from s3net_jax.measure.polygons import Polygon, trace_polygons
from s3net_jax.measure.regions import Row, measure_labels, measure_mask, measure_regions
from s3net_jax.measure.rois import encode_rois
from s3net_jax.measure.spacing import (
    Spacing,
    check_pixel_size,
    find_picture_spacing,
    find_volume_spacing,
    parse_pixel_size,
)
from s3net_jax.measure.table import HEAD, format_table, round_row

__all__ = [
    "COCO_START",
    "EXPORTS",
    "HEAD",
    "CocoImage",
    "Polygon",
    "Row",
    "Spacing",
    "annotate",
    "check_exports",
    "check_pixel_size",
    "encode_coco",
    "encode_geojson",
    "encode_rois",
    "find_picture_spacing",
    "find_volume_spacing",
    "format_table",
    "measure_labels",
    "measure_mask",
    "measure_regions",
    "parse_exports",
    "parse_pixel_size",
    "round_row",
    "trace_polygons",
]
