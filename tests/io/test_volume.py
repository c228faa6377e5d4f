"""Slices of a volume and back, whatever its orientation."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from s3net_jax.io import InputError, SliceView, Volume
from s3net_jax.io.volume import Axis

nib = pytest.importorskip("nibabel")


def volume(shape=(10, 11, 12), affine: np.ndarray | None = None, **more) -> Volume:
    voxels = np.arange(np.prod(shape)).reshape(shape)
    return Volume(voxels, affine, "v", Path("v"), "nifti", **more)


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_slices_stand_upright_in_every_orientation(axis) -> None:
    """The same anatomy, stored in all 48 orientations, gives the same slices."""
    base = volume(affine=np.eye(4))
    expected = SliceView(base, axis).get_slices(base.voxels)
    image = nib.Nifti1Image(base.voxels.astype(np.int32), np.eye(4))
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turned = image.as_reoriented(np.array(list(zip(order, signs, strict=True))))
            stored = Volume(np.asarray(turned.dataobj), turned.affine, "v", Path("v"), "nifti")
            view = SliceView(stored, axis)
            np.testing.assert_array_equal(view.get_slices(stored.voxels), expected)
            np.testing.assert_array_equal(view.restore(expected), stored.voxels)


def test_radiological_convention() -> None:
    """RAS+ voxels: an axial slice has the front at the top, the patient's right on the left."""
    v = volume(affine=np.eye(4))
    axial = SliceView(v, "axial")[3]
    assert axial[0, 0] == v.voxels[-1, -1, 3] and axial[-1, -1] == v.voxels[0, 0, 3]
    coronal = SliceView(v, "coronal")[0]
    assert coronal[0, 0] == v.voxels[-1, 0, -1]
    sagittal = SliceView(v, "sagittal")[0]
    assert sagittal[0, 0] == v.voxels[0, -1, -1]


def test_as_acquired() -> None:
    assert len(SliceView(volume(affine=np.diag([1, 3, 1, 1.0])))) == 11
    assert len(SliceView(volume(affine=np.eye(4)))) == 12
    assert len(SliceView(volume(affine=np.eye(4), acquired=0))) == 10


def test_pages_are_as_they_are() -> None:
    stack = volume()
    view = SliceView(stack)
    np.testing.assert_array_equal(view[4], stack.voxels[4])
    with pytest.raises(InputError, match="stack of pages"):
        SliceView(stack, "axial")


def test_thin_volumes_say_what_to_do() -> None:
    flat = volume((40, 40, 3), np.eye(4))
    assert len(SliceView(flat)) == 3
    with pytest.raises(InputError, match="another direction"):
        SliceView(flat, "coronal")


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 1, 1), (1, 3, 1), (1, 1, 0.2)])
@pytest.mark.parametrize("single", [0, 1, 2])
def test_an_axis_of_one_voxel_is_the_slice_axis(single: int, spacing) -> None:
    shape = [40, 50, 60]
    shape[single] = 1
    slices = volume(tuple(shape), np.diag([*spacing, 1.0]))
    assert SliceView(slices).shape[0] == 1
    directions: tuple[Axis, ...] = ("sagittal", "coronal", "axial")
    name = directions[single]
    assert SliceView(slices, name).shape[0] == 1
    for other in set(directions) - {name}:
        with pytest.raises(InputError, match=f"its single {name} slice; choose .* auto or {name}"):
            SliceView(slices, other)


def test_auto_never_chooses_slices_that_are_too_small() -> None:
    assert len(SliceView(volume((60, 3, 50), np.eye(4)))) == 3
    assert len(SliceView(volume((60, 1, 50), np.diag([5.0, 1, 1, 1])))) == 1
    for shape in ((60, 1, 1), (1, 1, 1), (5, 60, 5)):
        with pytest.raises(InputError, match="at least 8×8 are needed"):
            SliceView(volume(shape, np.eye(4)))


def test_colours_keep_their_channels() -> None:
    rgb = Volume(np.zeros((9, 10, 11, 3), np.uint8), np.eye(4), "v", Path("v"), "nifti")
    assert SliceView(rgb).get_slices(rgb.voxels).shape == (11, 10, 9, 3)
