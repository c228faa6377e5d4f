"""Read the label maps, masks and agreement maps that a run wrote."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError, get_reason
from s3net_jax.io import is_nifti, open_regular, read_nifti, read_stack, suspend_pixel_limit

__all__ = ["read_array", "read_result"]


def read_array(path: Path) -> np.ndarray:
    """Read a label map, mask or agreement map; the axes keep the order of the file.

    Raises:
      InputError: the file can't be read or does not fit in memory.
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
        raise InputError(f"{path} does not fit in memory.") from None
    except Exception as error:  # decoders raise any kind of exception on broken data
        raise _make_error(path, get_reason(error) if isinstance(error, OSError) else "") from None


def read_result(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a result with :func:`read_array` and check that it has the ``shape`` of its image.

    Raises:
      InputError: the file can't be read, or the result has another shape.
    """
    found = read_array(path)
    if found.shape != shape:
        sides = ["×".join(map(str, one)) for one in (found.shape, shape)]
        raise _make_error(path, f"it has {sides[0]} pixels, but its image has {sides[1]}")
    return found


def _make_error(path: Path, reason: str) -> InputError:
    because = f" ({reason})" if reason else ""
    return InputError(
        f"{path} is damaged or belongs to another image{because}: remove it and repeat the command."
    )
