"""Images in and results out: read, resize, write; errors a person can act on."""

from __future__ import annotations

from s3net_jax.errors import InputError, OutputError
from s3net_jax.io.colors import cluster_colors
from s3net_jax.io.dicom.reading import read_dicom
from s3net_jax.io.dicom.seg import write_seg
from s3net_jax.io.film import Film, Strip, read_film, write_film
from s3net_jax.io.image import MIN_SIDE, Image, from_array, from_pil, scaled, turned_round
from s3net_jax.io.limits import Limits, current_limits, limits, parse_size, set_limits
from s3net_jax.io.nifti.files import read_nifti, write_nifti
from s3net_jax.io.prepare import prepare, prepared_shape
from s3net_jax.io.read import MAX_PIXELS, read
from s3net_jax.io.resolution import Resolution, read_resolution
from s3net_jax.io.source import as_image
from s3net_jax.io.stack import read_stack, write_stack
from s3net_jax.io.volume import SliceView, Volume
from s3net_jax.io.window import parse_window
from s3net_jax.io.write import (
    make_folder,
    remove_leftovers,
    write_bytes,
    write_gray,
    write_labels,
    write_mask,
    write_picture,
    write_text,
)

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Film",
    "Image",
    "InputError",
    "Limits",
    "OutputError",
    "Resolution",
    "SliceView",
    "Strip",
    "Volume",
    "as_image",
    "cluster_colors",
    "current_limits",
    "from_array",
    "from_pil",
    "limits",
    "make_folder",
    "parse_size",
    "parse_window",
    "prepare",
    "prepared_shape",
    "read",
    "read_dicom",
    "read_film",
    "read_nifti",
    "read_resolution",
    "read_stack",
    "remove_leftovers",
    "scaled",
    "set_limits",
    "turned_round",
    "write_bytes",
    "write_film",
    "write_gray",
    "write_labels",
    "write_mask",
    "write_nifti",
    "write_picture",
    "write_seg",
    "write_stack",
    "write_text",
]
