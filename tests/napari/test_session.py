"""Pick, correct, undo and save without napari, with a fake fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.io import read_resolution, read_stack
from s3net_jax.napari import INSIDE, OUTSIDE, Cut, Session, make_file_name
from tests.fakes import install_fit
from tests.napari.scenes import DARK, GREY, make_picture, make_volume, segment

PICTURE = Cut("photo", make_picture(), "image", pixel_size=(0.5, 0.25))
VOLUME = Cut("scan", make_volume(), "volume", pixel_size=(2.0, 0.5, 0.25))


@pytest.fixture(params=["picture", "volume"])
def session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Session:
    install_fit(monkeypatch)
    return segment(PICTURE if request.param == "picture" else VOLUME)


def locate(session: Session, place: tuple[int, int]) -> tuple[int, ...]:
    """The pixel, in the last slice of a volume."""
    return place if session.mask.ndim == 2 else (2, *place)


def draw(session: Session, inside: tuple[int, int] | None, outside: tuple[int, int] | None):
    marks = np.zeros(session.mask.shape, np.uint8)
    for value, place in ((INSIDE, inside), (OUTSIDE, outside)):
        if place is not None:
            marks[locate(session, place)] = value
    return marks


def test_a_click_adds_and_removes_a_cluster(session: Session) -> None:
    dark, grey = (locate(session, place) for place in (DARK, GREY))
    before = session.mask.copy()
    assert before[dark] and not before[grey]
    label = session.clusters[grey]
    assert session.toggle(grey) == f"Cluster {label} was added to the target."
    assert session.mask[grey] and session.mask[dark]
    assert "removed from" in session.toggle(dark)
    assert session.mask[grey] and not session.mask[dark]
    assert session.replace(dark) == f"Cluster {session.clusters[dark]} is the target."
    assert session.mask[dark] and not session.mask[grey]
    for _ in range(3):
        assert session.can_undo
        session.undo()
    assert np.array_equal(session.mask, before) and not session.can_undo


def test_clicks_that_make_no_sense_are_explained(session: Session) -> None:
    dark = locate(session, DARK)
    with pytest.raises(s3.InputError, match="is the whole target: pick another cluster"):
        session.toggle(dark)
    with pytest.raises(s3.InputError, match="This place is outside"):
        session.toggle((-1, *dark[1:]))
    with pytest.raises(s3.InputError, match="This place is outside"):
        session.replace((*dark[:-1], 64))
    with pytest.raises(s3.InputError, match="Nothing to undo"):
        session.undo()


def test_marks_start_from_the_mask_without_marks(session: Session) -> None:
    first = draw(session, GREY, None)
    both = draw(session, GREY, DARK)
    session.correct(first)
    assert session.mask[locate(session, GREY)]
    text = session.correct(both)
    assert text == "The mask was corrected with 1 pixels inside and 1 outside."
    again = session.mask.copy()
    assert again[locate(session, GREY)] and not again[locate(session, DARK)]
    session.undo()
    session.undo()
    session.correct(both)
    assert np.array_equal(session.mask, again)
    session.toggle(locate(session, (40, 50)))  # the ground: marks now start from here
    picked = session.mask.copy()
    session.correct(draw(session, (44, 60), None))
    assert session.mask[locate(session, (44, 60))] and picked[locate(session, (44, 60))]


def test_marks_of_a_picture_are_those_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)
    session = segment(PICTURE)
    config = s3.preset("fast").replace(fit={"steps": 2})
    expected = s3.segment(PICTURE.values, config=config, target="dark", progress=False)
    assert np.array_equal(session.mask, expected.mask)
    session.correct(draw(session, GREY, DARK))
    corrected = expected.correct(inside=np.array([GREY[::-1]]), outside=np.array([DARK[::-1]]))
    assert np.array_equal(session.mask, corrected.mask)
    session.choose("bright")
    assert np.array_equal(session.mask, corrected.retarget("bright").mask)


def test_wrong_marks_are_refused(session: Session) -> None:
    with pytest.raises(s3.InputError, match="There are no marks yet"):
        session.correct(draw(session, None, None))
    with pytest.raises(s3.InputError, match="there is a mark 7"):
        session.correct(draw(session, GREY, None) * np.uint8(7))
    with pytest.raises(s3.InputError, match="which makes a new layer of marks"):
        session.correct(np.ones((3, 3), np.uint8))


def test_a_volume_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)
    session = segment(VOLUME)
    assert "1 of the 3 slices have only one value; they get label 0." in " ".join(session.notes)
    with pytest.raises(s3.InputError, match="can't be chosen by a rule afterwards"):
        session.choose("bright")
    marks = np.zeros(session.mask.shape, np.uint8)
    marks[0, 3, 3] = INSIDE
    with pytest.raises(s3.InputError, match="Slice 1 of scan has one value everywhere"):
        session.correct(marks)
    before = session.mask.copy()
    session.correct(draw(session, GREY, None))
    assert np.array_equal(session.mask[1], before[1]), "other slices stay"


def test_results_are_saved_with_their_pixel_size(session: Session, tmp_path: Path) -> None:
    session.toggle(locate(session, GREY))
    names = {path.name for path in session.save(tmp_path / "out", "photo")}
    files = tmp_path / "out"
    if session.mask.ndim == 2:
        assert names == {"photo.labels.png", "photo.mask.png", "photo.overlay.png"}
        with PilImage.open(files / "photo.mask.png") as file:
            assert np.array_equal(np.asarray(file) > 0, session.mask)
        with PilImage.open(files / "photo.labels.png") as file:
            assert np.array_equal(np.asarray(file), session.result.labels)
        found = read_resolution(files / "photo.mask.png")
    else:
        assert names == {"photo.labels.tif", "photo.mask.tif", "photo.overlay.png"}
        assert np.array_equal(read_stack(files / "photo.mask.tif").voxels > 0, session.mask)
        labels = tifffile.imread(files / "photo.labels.tif")
        assert np.array_equal(labels, session.result.labels)
        found = read_resolution(files / "photo.mask.tif")
        assert found is not None and found.measure_slice() == pytest.approx(2)
    assert found is not None and found.measure_pixel() == pytest.approx((0.5, 0.25))
    assert {path.name for path in files.iterdir()} == names


def test_existing_files_are_kept_unless_they_may_be_replaced(
    session: Session, tmp_path: Path
) -> None:
    paths = session.save(tmp_path, "photo")
    before = paths[1].read_bytes()
    session.replace(locate(session, GREY))
    with pytest.raises(s3.OutputError, match="exists: choose another folder, rename the layer"):
        session.save(tmp_path, "photo")
    assert paths[1].read_bytes() == before
    session.save(tmp_path, "photo", overwrite=True)
    assert paths[1].read_bytes() != before
    for name in ("", "..", "a/b", "a\\b"):
        with pytest.raises(s3.OutputError, match="can't begin a file name"):
            session.save(tmp_path, name)


def test_the_result_is_described_in_one_line(session: Session) -> None:
    text, pixels = session.describe(), np.count_nonzero(session.mask)
    share = 100 * session.mask.mean()
    size = 0.5 * 0.25 if session.mask.ndim == 2 else 2 * 0.5 * 0.25
    unit = "mm²" if session.mask.ndim == 2 else "mm³"
    assert f"3 clusters, target {share:.1f} % ({pixels * size:.4g} {unit})" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo", "photo"),
        ("a/b: c", "a_b_ c"),
        ("..", "image"),
        ("", "image"),
        ("é" * 200, "é" * 100),
    ],
)
def test_names_of_layers_become_names_of_files(name: str, expected: str) -> None:
    assert make_file_name(name) == expected
