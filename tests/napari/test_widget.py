"""The panel in a viewer: needs napari, Qt and a display (``xvfb-run -a pytest tests/napari``)."""

from __future__ import annotations

import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

pytest.importorskip("napari", reason="the viewer needs the extra napari")
pytest.importorskip("pytestqt", reason="tests of the viewer need pytest-qt")
# Without a display, Qt ends the process instead of raising an error.
if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
    pytest.skip("the viewer needs a display, such as xvfb-run", allow_module_level=True)

from napari.utils.interactions import (  # pyright: ignore[reportMissingImports]
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from napari.utils.notifications import (  # pyright: ignore[reportMissingImports]
    notification_manager,
)

from s3net_jax.napari.widget import SegmentWidget
from tests.fakes import fit_brightness, install_fit
from tests.napari.scenes import DARK, GREY, make_picture, make_volume
from tests.volumes import OBLIQUE, save_nifti

# Warnings of napari and its many dependencies are not ours.
pytestmark = pytest.mark.filterwarnings("ignore")

Open = Callable[..., tuple[Any, SegmentWidget]]


@pytest.fixture
def open_panel(make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """A function that opens a viewer with one image and the panel; fits are fakes."""
    install_fit(monkeypatch)
    notification_manager.records.clear()

    def open_viewer(values: np.ndarray, **options: Any) -> tuple[Any, SegmentWidget]:
        viewer = make_napari_viewer()
        panel = SegmentWidget(viewer)
        viewer.window.add_dock_widget(panel)
        viewer.add_image(values, name="photo", **options)
        panel.form.preset.setCurrentText("fast")
        panel.form.steps.setValue(2)
        panel.form.target.setCurrentText("dark")
        return viewer, panel

    yield open_viewer


def wait(qtbot: Any, panel: SegmentWidget) -> None:
    """Wait until the segmentation has ended."""
    qtbot.waitUntil(lambda: panel.job is None, timeout=60_000)


def segment(qtbot: Any, panel: SegmentWidget) -> None:
    panel.segment_button.click()
    assert panel.job is not None
    wait(qtbot, panel)


def list_messages() -> list[str]:
    return [str(one.message) for one in notification_manager.records]


class Event:
    """A mouse event, whose content napari replaces by the next one during a drag."""

    def __init__(self, **content: Any) -> None:
        self.__wrapped__: Any = types.SimpleNamespace(**content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


def click(viewer: Any, layer: Any, place: tuple[int, ...], drag: int = 0, *keys: str) -> None:
    """Press and release the mouse at a pixel of a layer, as napari's canvas does.

    Args:
      drag: pixels of the screen that the mouse moves in between.
      keys: modifiers.
    """
    position = tuple(layer.data_to_world(place))
    for kind, call in (
        ("mouse_press", mouse_press_callbacks),
        *([("mouse_move", mouse_move_callbacks)] if drag else []),
        ("mouse_release", mouse_release_callbacks),
    ):
        pos = (100, 100) if kind == "mouse_press" else (100 + drag, 100)
        moves = kind == "mouse_move"
        event = Event(
            type=kind, position=position, pos=pos, button=1, modifiers=keys, is_dragging=moves
        )
        call(viewer, event)


def test_a_picture_from_the_layer_to_the_file(open_panel: Open, qtbot: Any, tmp_path: Path) -> None:
    scale = {"scale": (0.5, 0.25), "translate": (3, 7), "units": ("mm", "mm")}
    viewer, panel = open_panel(make_picture(), rgb=True, **scale)
    assert not panel.save_button.isEnabled() and panel.segment_button.isEnabled()
    segment(qtbot, panel)
    names = [layer.name for layer in viewer.layers]
    assert names == ["photo", "photo clusters", "photo mask", "photo marks"]
    image, clusters, mask, marks = viewer.layers
    for layer in (clusters, mask, marks):
        assert np.array_equal(layer.scale, image.scale)
        assert np.array_equal(layer.translate, image.translate) and layer.units == image.units
    assert panel.session is not None
    # Label 0 is transparent in napari.
    assert np.array_equal(clusters.data, panel.session.clusters + 1)
    assert mask.data[DARK] == 1 and mask.data[GREY] == 0

    click(viewer, clusters, GREY)  # nothing: the tool is off
    assert mask.data[GREY] == 0
    panel.pick_button.click()
    click(viewer, clusters, GREY, 30)  # a drag moves the view
    assert mask.data[GREY] == 0
    click(viewer, clusters, GREY)
    assert mask.data[GREY] == 1 and "added to the target" in panel.status.text()
    click(viewer, clusters, DARK, 2)  # hands shake
    assert mask.data[DARK] == 0 and "removed from the target" in panel.status.text()
    click(viewer, clusters, DARK, 0, "Shift")
    assert mask.data[DARK] == 1 and mask.data[GREY] == 0
    panel.undo_button.click()
    assert mask.data[DARK] == 0 and mask.data[GREY] == 1

    panel.inside_button.click()
    assert viewer.layers.selection.active is marks and marks.mode == "paint"
    assert not panel.pick_button.isChecked()
    marks.paint(DARK, marks.selected_label)
    panel.outside_button.click()
    marks.paint(GREY, marks.selected_label)
    before = mask.data.copy()
    click(viewer, clusters, (40, 50))  # picking is off while marks are painted
    assert np.array_equal(mask.data, before)
    assert set(np.unique(marks.data)) == {0, 1, 2}
    panel.correct_button.click()
    assert mask.data[DARK] == 1 and mask.data[GREY] == 0
    panel.clear_button.click()
    assert not marks.data.any() and mask.data[DARK] == 1

    panel.save_to(str(tmp_path))
    with PilImage.open(tmp_path / "photo.mask.png") as file:
        assert np.array_equal(np.asarray(file) > 0, mask.data > 0)
    assert "photo.labels.png, photo.mask.png, photo.overlay.png" in list_messages()[-1]
    panel.save_to(str(tmp_path))
    assert "photo.labels.png exists: choose another folder" in list_messages()[-1]


def test_a_volume_of_a_series(open_panel: Open, qtbot: Any) -> None:
    series = np.stack([make_volume() // 2, make_volume()])
    viewer, panel = open_panel(series, scale=(1, 2, 0.5, 0.5))
    viewer.dims.set_point(0, 1)
    assert panel.form.read_use() == "volume"
    segment(qtbot, panel)
    clusters, mask = viewer.layers["photo clusters"], viewer.layers["photo mask"]
    assert clusters.data.shape == (1, 3, 48, 64)
    # The layer is at the second time point.
    assert np.array_equal(clusters.data_to_world((0, 2, 1, 1)), (1, 4, 0.5, 0.5))
    panel.pick_button.click()
    click(viewer, viewer.layers["photo"], (1, 2, *GREY))
    assert mask.data[0, 2][GREY] == 1
    click(viewer, viewer.layers["photo"], (0, 2, *GREY))
    assert "There are no clusters here" in list_messages()[-1]
    panel.inside_button.click()
    viewer.layers["photo marks"].data[0, 2, 40, 50] = 1
    panel.correct()
    assert mask.data[0, 2, 40, 50] == 1


def test_a_volume_of_a_file_keeps_its_geometry(
    open_panel: Open, qtbot: Any, tmp_path: Path
) -> None:
    nibabel = pytest.importorskip("nibabel")
    from napari.layers._source import layer_source  # pyright: ignore[reportMissingImports]

    volume = make_volume()
    save_nifti(tmp_path / "scan.nii.gz", np.transpose(volume, (2, 1, 0)))
    with layer_source(path=str(tmp_path / "scan.nii.gz")):  # as a reader plugin does
        _, panel = open_panel(volume)
    panel.form.use.setCurrentIndex(panel.form.use.findData("volume"))
    segment(qtbot, panel)
    panel.save_to(str(tmp_path))
    assert panel.session is not None and "photo.mask.nii.gz" in list_messages()[-1]
    saved = nibabel.load(tmp_path / "photo.mask.nii.gz")
    np.testing.assert_allclose(saved.affine, OBLIQUE, atol=1e-5)
    assert np.array_equal(np.asarray(saved.dataobj).T > 0, panel.session.mask)
    (tmp_path / "scan.nii.gz").unlink()
    panel.replace_files.setChecked(True)
    panel.save_to(str(tmp_path))
    assert "photo is saved as TIFF, without a geometry" in list_messages()[-1]


def test_slices_channels_and_limits(open_panel: Open, qtbot: Any) -> None:
    values = make_volume().astype(np.float32) * 100
    viewer, panel = open_panel(values, scale=(2, 0.5, 0.5), contrast_limits=(0, 22500))
    viewer.dims.set_point(0, 4)  # the third slice
    assert [panel.form.use.itemData(n) for n in range(3)] == ["channels", "volume", "slice"]
    panel.form.use.setCurrentIndex(2)
    panel.form.limits.setChecked(True)
    segment(qtbot, panel)
    mask = viewer.layers["photo mask"]
    assert mask.data.shape == (1, 48, 64) and mask.data[0][DARK] == 1
    assert np.array_equal(mask.data_to_world((0, 0, 0)), (4, 0, 0))
    marks = viewer.layers["photo marks"]
    marks.data[0, 0, 0] = 2
    segment(qtbot, panel)
    assert viewer.layers["photo marks"] is marks and marks.data[0, 0, 0] == 2, "marks still hold"
    panel.form.use.setCurrentIndex(0)
    segment(qtbot, panel)
    assert viewer.layers["photo mask"].data.shape == (48, 64)
    assert np.array_equal(viewer.layers["photo mask"].scale, (0.5, 0.5))
    assert len(viewer.layers) == 4


def test_every_image_keeps_its_result(open_panel: Open, qtbot: Any) -> None:
    viewer, panel = open_panel(make_picture(), rgb=True)
    segment(qtbot, panel)
    first = panel.session
    viewer.add_image(make_picture()[::-1, ..., 0], name="other")
    assert panel.form.image.count() == 2 and panel.session is first
    panel.form.image.setCurrentText("other")
    assert panel.session is None and not panel.save_button.isEnabled()
    segment(qtbot, panel)
    assert panel.session is not first and len(viewer.layers) == 8
    viewer.layers["other"].name = "new"
    assert panel.form.image.currentText() == "new"
    viewer.layers.remove("new")
    assert panel.form.image.currentText() == "photo" and panel.session is first
    viewer.layers.remove("photo mask")
    panel.form.target.setCurrentText("bright")
    panel.form.target.textActivated.emit("bright")  # a rule is applied at once
    assert first is not None and first.can_undo
    assert np.array_equal(viewer.layers["photo mask"].data, first.mask), "it is there again"


def test_a_segmentation_can_be_cancelled(
    open_panel: Open, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def fit(*args: Any, progress: Any, **more: Any) -> Any:
        begun.set()
        assert stopped.wait(60)
        return fit_brightness(*args, progress=progress, **more)

    viewer, panel = open_panel(make_picture(), rgb=True)
    install_fit(monkeypatch, fit)
    panel.segment_button.click()
    assert not panel.segment_button.isEnabled() and panel.cancel_button.isEnabled()
    # The event loop keeps running while the fit waits.
    qtbot.waitUntil(begun.is_set, timeout=60_000)
    qtbot.waitUntil(lambda: panel.progress.maximum() == 2, timeout=60_000)
    panel.cancel_button.click()
    assert not panel.cancel_button.isEnabled()
    stopped.set()
    wait(qtbot, panel)
    assert panel.status.text() == "Cancelled." and len(viewer.layers) == 1
    assert list_messages() == []


def test_errors_are_notifications(open_panel: Open, qtbot: Any) -> None:
    viewer, panel = open_panel(np.full((40, 40), 7, np.uint8))
    segment(qtbot, panel)
    assert list_messages() == ["photo has only one colour: there is nothing to segment."]
    assert len(viewer.layers) == 1
    viewer.add_image(np.zeros((5, 40, 40)), name="five")
    panel.form.image.setCurrentText("five")
    panel.form.use.setCurrentText("picture with channels")
    panel.segment_button.click()
    assert "five has 5 channels, and a picture has at most 3" in list_messages()[-1]
    viewer.layers.remove("five")
    viewer.layers["photo"].data = make_picture()[..., 0]
    segment(qtbot, panel)
    panel.correct_button.click()
    assert "There are no marks yet" in list_messages()[-1]
    viewer.dims.ndisplay = 3
    panel.pick(GREY)
    assert "switch back from 3D" in list_messages()[-1]


def test_an_image_may_be_deleted_meanwhile(
    open_panel: Open, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def fit(*args: Any, **more: Any) -> Any:
        assert stopped.wait(60)
        return fit_brightness(*args, **more)

    viewer, panel = open_panel(make_picture(), rgb=True)
    install_fit(monkeypatch, fit)
    panel.segment_button.click()
    viewer.layers.clear()
    stopped.set()
    wait(qtbot, panel)
    assert list_messages() == ["photo was deleted while it was segmented."]
    assert not panel.segment_button.isEnabled()


def test_a_panel_may_be_closed_meanwhile(
    open_panel: Open, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, panel = open_panel(make_picture(), rgb=True)
    segment(qtbot, panel)
    panel.pick_button.click()
    stopped, ended = threading.Event(), threading.Event()

    def fit(*args: Any, progress: Any, **more: Any) -> Any:
        assert stopped.wait(60)
        try:
            return fit_brightness(*args, progress=progress, **more)
        finally:
            ended.set()

    install_fit(monkeypatch, fit)
    panel.segment_button.click()
    callbacks = len(viewer.mouse_drag_callbacks)
    with qtbot.waitSignal(panel.destroyed):
        panel.deleteLater()
    assert len(viewer.mouse_drag_callbacks) == callbacks - 1
    stopped.set()
    qtbot.waitUntil(ended.is_set, timeout=60_000)
    qtbot.wait(100)  # whatever the thread still sends arrives
    viewer.layers["photo"].name = "new"
    assert len(viewer.layers) == 4 and list_messages() == []
