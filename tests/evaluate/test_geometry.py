"""Ground truths in another order of axes than their images, and elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s3net_jax.evaluate.geometry import Grid, brought
from s3net_jax.evaluate.truth import read_truth
from s3net_jax.io import InputError
from tests.volumes import OBLIQUE

SHAPE = (4, 5, 6)
VALUES = np.arange(120).reshape(SHAPE)
HERE = Grid(SHAPE, OBLIQUE)


def turned(places: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> tuple[Grid, np.ndarray]:
    """The same voxels in another order: axis i is axis ``places[i]``, backwards or not."""
    values = np.transpose(VALUES, places)
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for axis, (place, flip) in enumerate(zip(places, flips, strict=True)):
        step[place, axis] = -1 if flip else 1
        step[place, 3] = SHAPE[place] - 1 if flip else 0
    backwards = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    return Grid(values.shape, OBLIQUE @ step), values[backwards]


@pytest.mark.parametrize("places", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True), (True, True, False)])
def test_axes_in_another_order(places, flips) -> None:
    grid, values = turned(places, flips)
    rounded = Grid(grid.shape, np.asarray(grid.affine).astype(np.float32) + 1e-4)
    for own in (grid, rounded):
        found = brought(values, own, HERE)
        assert found is not None
        np.testing.assert_array_equal(found, VALUES)


def test_other_grids() -> None:
    shifted, wider, tilted = OBLIQUE.copy(), OBLIQUE.copy(), OBLIQUE.copy()
    shifted[:3, 3] += OBLIQUE[:3, 2] / 2
    wider[:3, :3] *= 1.05
    tilted[:3, :3] = tilted[:3, :3] @ [[1, 0.05, 0], [-0.05, 1, 0], [0, 0, 1]]
    for affine in (shifted, wider, tilted, np.eye(4), np.diag([0.1, 0.1, 0.1, 1])):
        assert brought(VALUES, Grid(SHAPE, affine), HERE) is None
    assert brought(VALUES, Grid((4, 6, 5), OBLIQUE), HERE) is None
    assert brought(VALUES, Grid(SHAPE), HERE) is VALUES, "no place in space: voxel by voxel"
    assert brought(VALUES, Grid((5, 4, 6)), HERE) is None


def test_sentences(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    truth = (VALUES > 60).astype(np.uint8)
    path = tmp_path / "m.nii.gz"

    def refused(values: np.ndarray, affine: np.ndarray | None, grid: Grid = HERE) -> str:
        nib.save(nib.Nifti1Image(values, affine), path)
        with pytest.raises(InputError) as raised:
            read_truth(path, grid)
        return str(raised.value)

    assert "elsewhere in space" in refused(truth, np.eye(4))
    said = refused(truth[:3], OBLIQUE)
    assert "a volume of 3×5×6 voxels of 0.907×1.83×3.02 mm, its image a volume of 4×5×6" in said
    assert "a picture of 5×4 pixels" in refused(truth, OBLIQUE, Grid((4, 5)))
    assert "holds 2 volumes" in refused(np.stack([truth, truth], -1), OBLIQUE)
    assert "is empty" in refused(truth * 0, OBLIQUE)
    nib.save(nib.Nifti1Image(truth, None), path)
    # Both codes are 0: no place in space.
    np.testing.assert_array_equal(read_truth(path, HERE), truth)
