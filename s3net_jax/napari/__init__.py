"""Plugin for the viewer napari: segment a layer, pick the target, correct it, save it.

The manifest is ``napari.yaml``. Only ``widget``, ``form`` and ``result_layers`` need napari and
Qt; the names below work without.
"""

from __future__ import annotations

from s3net_jax.napari.job import Job, Settings, explain
from s3net_jax.napari.origin import find_layout, find_origin
from s3net_jax.napari.picture import PictureSession
from s3net_jax.napari.session import INSIDE, OUTSIDE, Session, make_file_name
from s3net_jax.napari.source import Cut, LayerImage, Use, cut_layer, list_uses
from s3net_jax.napari.volume import VolumeSession

__all__ = [
    "INSIDE",
    "OUTSIDE",
    "Cut",
    "Job",
    "LayerImage",
    "PictureSession",
    "Session",
    "Settings",
    "Use",
    "VolumeSession",
    "cut_layer",
    "explain",
    "find_layout",
    "find_origin",
    "list_uses",
    "make_file_name",
]
