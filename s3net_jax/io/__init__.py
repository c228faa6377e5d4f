"""Images in and results out: read, resize, write; errors a person can act on."""

from __future__ import annotations

from s3net_jax.io.colors import cluster_colors
from s3net_jax.io.errors import InputError, OutputError
from s3net_jax.io.image import MIN_SIDE, Image, from_array, from_pil
from s3net_jax.io.prepare import prepare, prepared_shape
from s3net_jax.io.read import MAX_PIXELS, read
from s3net_jax.io.source import as_image
from s3net_jax.io.write import make_folder, write_bytes, write_labels, write_mask, write_picture

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Image",
    "InputError",
    "OutputError",
    "as_image",
    "cluster_colors",
    "from_array",
    "from_pil",
    "make_folder",
    "prepare",
    "prepared_shape",
    "read",
    "write_bytes",
    "write_labels",
    "write_mask",
    "write_picture",
]
