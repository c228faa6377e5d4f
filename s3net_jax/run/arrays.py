"""Read label maps, masks and agreements that a run wrote."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError, get_reason
from s3net_jax.io import is_nifti, open_regular, read_nifti, read_stack, suspend_pixel_limit

__all__ = ["read_array", "read_result"]


def read_array(path: Path) -> np.ndarray:
    """Read the numbers of a label map, mask or agreement, in the order of its file.

    Raises:
      InputError: it can't be read.
    """
    try:
        os.close(open_regular(path))
        if is_nifti(path):
            return read_nifti(path).voxels
        if path.suffix == ".tif":
            return read_stack(path).voxels
        with suspend_pixel_limit(), PilImage.open(path, formats=("PNG",)) as picture:
            return np.asarray(picture).astype(np.int32)
    except MemoryError:
        raise InputError(f"{path} does not fit into memory.") from None
    except Exception as error:  # decoders raise whatever they like on broken data
        raise _make_error(path, get_reason(error) if isinstance(error, OSError) else "") from None


def read_result(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a result as :func:`read_array` does; it must have the shape of its image.

    Raises:
      InputError: it can't be read, or has another shape.
    """
    found = read_array(path)
    if found.shape != shape:
        sides = ["×".join(map(str, one)) for one in (found.shape, shape)]
        raise _make_error(path, f"it has {sides[0]} pixels, its image {sides[1]}")
    return found


def _make_error(path: Path, reason: str) -> InputError:
    because = f" ({reason})" if reason else ""
    return InputError(
        f"{path} is damaged, or is not a result of its image{because}: remove it and repeat the "
        "command."
    )
