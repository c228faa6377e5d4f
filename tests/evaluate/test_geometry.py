"""Ground truths in another order of axes than their images, and elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s3net_jax.evaluate.geometry import Grid, align_to_grid, describe_grid, read_nifti_grid
from s3net_jax.evaluate.truth import read_truth
from s3net_jax.io import InputError
from tests.volumes import OBLIQUE

SHAPE = (4, 5, 6)
VALUES = np.arange(120).reshape(SHAPE)
HERE = Grid(SHAPE, OBLIQUE)


def turn(places: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> tuple[Grid, np.ndarray]:
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
    grid, values = turn(places, flips)
    rounded = Grid(grid.shape, np.asarray(grid.affine).astype(np.float32) + 1e-4)
    for own in (grid, rounded):
        found = align_to_grid(values, own, HERE)
        assert found is not None
        np.testing.assert_array_equal(found, VALUES)


def test_other_grids() -> None:
    shifted, wider, tilted = OBLIQUE.copy(), OBLIQUE.copy(), OBLIQUE.copy()
    shifted[:3, 3] += OBLIQUE[:3, 2] / 2
    wider[:3, :3] *= 1.05
    tilted[:3, :3] = tilted[:3, :3] @ [[1, 0.05, 0], [-0.05, 1, 0], [0, 0, 1]]
    for affine in (shifted, wider, tilted, np.eye(4), np.diag([0.1, 0.1, 0.1, 1])):
        assert align_to_grid(VALUES, Grid(SHAPE, affine), HERE) is None
    assert align_to_grid(VALUES, Grid((4, 6, 5), OBLIQUE), HERE) is None
    assert align_to_grid(VALUES, Grid(SHAPE), HERE) is VALUES, "no place in space: voxel by voxel"
    assert align_to_grid(VALUES, Grid((5, 4, 6)), HERE) is None


@pytest.mark.parametrize(("off", "is_near"), [(0.099, True), (0.101, False), (-0.101, False)])
def test_corners_may_be_a_tenth_of_a_voxel_off(off: float, is_near: bool) -> None:
    """Check the far corners, too: grids may differ only there, by a scale or a shear."""
    grid = Grid(SHAPE, np.diag([2.0, 2, 2, 1]))
    moved, scaled, sheared = (np.diag([2.0, 2, 2, 1]) for _ in range(3))
    moved[1, 3] += 2 * off
    scaled[2, 2] *= 1 + off / (SHAPE[2] - 1)
    sheared[0, 1] += 2 * off / (SHAPE[1] - 1)
    near_end = scaled.copy()  # equal at the far end
    near_end[2, 2], near_end[2, 3] = 2 - 2 * off / (SHAPE[2] - 1), 2 * off
    for affine in (moved, scaled, sheared, near_end):
        assert (align_to_grid(VALUES, Grid(SHAPE, affine), grid) is not None) == is_near


def test_axes_that_lie_between_those_of_the_other_grid() -> None:
    """Turned by 45 degrees, of half or twice the step, or all along one axis."""
    half = np.sqrt(0.5)
    turned = np.array([[half, -half, 0, 0], [half, half, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    flat = np.diag([1.0, 1, 1, 1])
    flat[:2, 1] = (1, 0.2)
    wanted = Grid((1, 1, 1), np.eye(4))
    for affine in (turned, flat, flat.T, np.diag([0.4, 1, 1, 1]), np.diag([2.0, 1, 1, 1])):
        assert align_to_grid(np.zeros((1, 1, 1)), Grid((1, 1, 1), affine), wanted) is None


def test_grids_in_words() -> None:
    assert describe_grid(Grid((480, 640))) == "a picture of 640×480 pixels"
    assert describe_grid(Grid((7, 40, 48))) == "a volume of 7×40×48 voxels"
    affine = np.diag([0.7, 0.7, 3, 1])
    affine[:3, 3] = 50
    affine[3, :3] = 9  # never, but no part of the sides
    assert (
        describe_grid(Grid((512, 512, 90), affine))
        == "a volume of 512×512×90 voxels of 0.7×0.7×3 mm"
    )


def test_a_nifti_file_of_one_slice_is_a_volume(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    path = tmp_path / "m.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 5), np.uint8), OBLIQUE), path)
    assert read_nifti_grid(path).shape == (4, 5, 1)
    nib.save(nib.Nifti1Image(np.ones(4, np.uint8), OBLIQUE), path)
    assert read_nifti_grid(path).shape == (4, 1, 1)
    nib.save(nib.Nifti1Image(np.ones((4, 5, 6, 2), np.uint8), OBLIQUE), path)
    found = read_nifti_grid(path)
    assert found.shape == (4, 5, 6)
    np.testing.assert_allclose(np.asarray(found.affine), OBLIQUE, atol=1e-4)


def test_sentences(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    truth = (VALUES > 60).astype(np.uint8)
    path = tmp_path / "m.nii.gz"

    def explain_refusal(values: np.ndarray, affine: np.ndarray | None, grid: Grid = HERE) -> str:
        nib.save(nib.Nifti1Image(values, affine), path)
        with pytest.raises(InputError) as raised:
            read_truth(path, grid)
        return str(raised.value)

    assert "another position in space" in explain_refusal(truth, np.eye(4))
    sentence = explain_refusal(truth[:3], OBLIQUE)
    assert "a volume of 3×5×6 voxels of 0.907×1.83×3.02 mm" in sentence
    assert "but its image is a volume of 4×5×6" in sentence
    assert "a picture of 5×4 pixels" in explain_refusal(truth, OBLIQUE, Grid((4, 5)))
    assert "contains 2 volumes" in explain_refusal(np.stack([truth, truth], -1), OBLIQUE)
    assert "is empty" in explain_refusal(truth * 0, OBLIQUE)
    nib.save(nib.Nifti1Image(truth, None), path)
    # Both codes are 0: no place in space.
    np.testing.assert_array_equal(read_truth(path, HERE), truth)
