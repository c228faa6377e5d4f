"""Read images and volumes, prepare them for the network, and write results."""

from __future__ import annotations

from s3net_jax.errors import InputError, OutputError
from s3net_jax.io.colors import LUMA, OUTLINE, make_cluster_colors
from s3net_jax.io.dicom.codes import CODES, check_segment_name, parse_code
from s3net_jax.io.dicom.files import DICOM_SUFFIXES, Found, is_dicom, survey
from s3net_jax.io.dicom.reading import read_dicom
from s3net_jax.io.dicom.seg import write_seg
from s3net_jax.io.extras import import_extra
from s3net_jax.io.film import Film, Strip, read_film, write_film
from s3net_jax.io.image import MIN_SIDE, Image, from_array, from_pil, invert, scale_to_unit
from s3net_jax.io.limits import Limits, get_limits, limits, parse_size, set_limits
from s3net_jax.io.nifti.files import is_nifti, read_nifti, write_nifti
from s3net_jax.io.nifti.header import load_nifti, place_nifti
from s3net_jax.io.nifti.voxels import check_header
from s3net_jax.io.prepare import compute_prepared_shape, prepare
from s3net_jax.io.quiet import silence_warnings
from s3net_jax.io.read import (
    FORMATS,
    MAX_PIXELS,
    check_file,
    check_picture,
    read,
    suspend_pixel_limit,
)
from s3net_jax.io.regular import MAX_BYTES, open_regular, read_regular
from s3net_jax.io.resize import resize_antialias
from s3net_jax.io.resolution import Resolution, read_resolution
from s3net_jax.io.source import to_image
from s3net_jax.io.stack import is_stack, read_stack, write_stack
from s3net_jax.io.tiff.reading import is_tiff
from s3net_jax.io.volume import SliceView, Volume, check_scaling
from s3net_jax.io.window import format_window, parse_window
from s3net_jax.io.write import (
    Receipt,
    collect_receipts,
    make_folder,
    make_subfolder,
    remove_file,
    remove_leftovers,
    sync_file,
    sync_folder,
    write_bytes,
    write_gray,
    write_labels,
    write_mask,
    write_picture,
    write_text,
)

__all__ = [
    "CODES",
    "DICOM_SUFFIXES",
    "FORMATS",
    "LUMA",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "OUTLINE",
    "Film",
    "Found",
    "Image",
    "InputError",
    "Limits",
    "OutputError",
    "Receipt",
    "Resolution",
    "SliceView",
    "Strip",
    "Volume",
    "check_file",
    "check_header",
    "check_picture",
    "check_scaling",
    "check_segment_name",
    "collect_receipts",
    "compute_prepared_shape",
    "format_window",
    "from_array",
    "from_pil",
    "get_limits",
    "import_extra",
    "invert",
    "is_dicom",
    "is_nifti",
    "is_stack",
    "is_tiff",
    "limits",
    "load_nifti",
    "make_cluster_colors",
    "make_folder",
    "make_subfolder",
    "open_regular",
    "parse_code",
    "parse_size",
    "parse_window",
    "place_nifti",
    "prepare",
    "read",
    "read_dicom",
    "read_film",
    "read_nifti",
    "read_regular",
    "read_resolution",
    "read_stack",
    "remove_file",
    "remove_leftovers",
    "resize_antialias",
    "scale_to_unit",
    "set_limits",
    "silence_warnings",
    "survey",
    "suspend_pixel_limit",
    "sync_file",
    "sync_folder",
    "to_image",
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
