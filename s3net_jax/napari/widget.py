"""The panel of the plugin: segment a layer, pick the target, paint marks, correct, save."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import create_worker  # pyright: ignore[reportMissingImports]
from napari.utils.notifications import (  # pyright: ignore[reportMissingImports]
    show_error,
    show_info,
    show_warning,
)
from qtpy.QtCore import QTimer  # pyright: ignore[reportMissingImports]
from qtpy.QtWidgets import (  # pyright: ignore[reportMissingImports]
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from s3net_jax.errors import InputError
from s3net_jax.napari.form import SettingsForm
from s3net_jax.napari.job import Job, explain
from s3net_jax.napari.result_layers import ResultLayers, read_layer
from s3net_jax.napari.session import INSIDE, OUTSIDE, Session, make_file_name
from s3net_jax.napari.source import cut_layer

__all__ = ["SegmentWidget"]

_INTERVAL = 100
"""Milliseconds between two updates of the progress bar; ten a second look continuous."""

_SHAKE = 4
"""Pixels of the screen by which the mouse may move during a click. Not varied."""


@dataclass
class _Found:
    """The result of an image layer, and the layers that show it."""

    session: Session
    layers: ResultLayers


class SegmentWidget(QWidget):
    """Panel that segments image layers of a viewer.

    Each image layer keeps its own result. What the panel does is in :mod:`.job` and
    :mod:`.session`; this class connects them with buttons and layers.

    Args:
      napari_viewer: the viewer; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._results: dict[Any, _Found] = {}
        self._job: Job | None = None
        self._is_open = True
        self.form = SettingsForm(napari_viewer)
        self._make_controls()
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL)
        self._timer.timeout.connect(self._show_progress)
        self._follow_layers()
        self.form.image_changed.connect(self._refresh)
        self.form.target_chosen.connect(self._choose_rule)
        self._refresh()

    @property
    def job(self) -> Job | None:
        """The segmentation that is running, or None."""
        return self._job

    @property
    def session(self) -> Session | None:
        """The result of the chosen image layer, or None."""
        found = self._results.get(self.form.layer)
        return None if found is None else found.session

    def segment(self) -> None:
        """Start the segmentation of the chosen layer in a thread."""
        layer = self.form.layer
        if layer is None or self._job is not None:
            return
        try:
            image = read_layer(layer, self._viewer, self.form.limits.isChecked())
            job = Job(cut_layer(image, self.form.read_use()), self.form.read())
        except Exception as error:
            self._report(error)
            return
        self._job = job
        worker = create_worker(job.run, _start_thread=False)
        worker.returned.connect(lambda found: self._is_open and self._finish(job, layer, found))
        # A viewer that is closed does not wait for the end of the fits.
        self.destroyed.connect(job.cancel)
        self._timer.start()
        self._refresh()
        worker.start()

    def cancel(self) -> None:
        """End the running segmentation with its next report."""
        if self._job is not None:
            self._job.cancel()
            self._refresh()

    def paint(self, label: int) -> None:
        """Select the layer of marks and its brush.

        Args:
          label: 1 for marks inside the object, 2 for marks outside.
        """
        found = self._results.get(self.form.layer)
        if found is None:
            return
        self.pick_button.setChecked(False)
        found.layers.add_marks(found.session.mask.shape)
        layer = found.layers.activate("marks")
        layer.selected_label = label
        layer.mode = "paint"
        self.status.setText("Paint on the image, then press Correct.")

    def correct(self) -> None:
        """Correct the mask with all marks that are painted."""
        self._change(lambda found: found.session.correct(found.layers.read_marks()))

    def undo(self) -> None:
        """Return to the target before the last change; marks stay."""
        self._change(lambda found: found.session.undo())

    def clear_marks(self) -> None:
        """Erase all marks; the mask stays."""
        found = self._results.get(self.form.layer)
        if found is not None:
            found.layers.clear_marks()

    def save(self) -> None:
        """Ask for a folder, and write the result."""
        folder = QFileDialog.getExistingDirectory(self, "Folder for the label map and the mask")
        if folder:
            self.save_to(folder)

    def save_to(self, folder: str) -> None:
        """Write the label map, mask and overlay of the chosen layer into a folder."""
        session = self.session
        if session is None:
            return
        try:
            name = make_file_name(self.form.layer.name)
            paths = session.save(folder, name, self.replace_files.isChecked())
        except Exception as error:
            self._report(error)
            return
        show_info(f"Written to {folder}: {', '.join(path.name for path in paths)}.")
        for note in session.save_notes:
            show_warning(note)

    def pick(self, position: Any, replace: bool = False) -> None:
        """Add the cluster at a position to the target, or remove it.

        Args:
          position: position in world coordinates.
          replace: whether to make this cluster the only one instead.
        """

        def change(found: _Found) -> str:
            if self._viewer.dims.ndisplay != 2:
                raise InputError("Clusters are picked in the 2D view: switch back from 3D first.")
            place = found.layers.find_place(position)
            if place is None:
                raise InputError(
                    "There are no clusters here: show the slice that was segmented, or segment "
                    "again if its layer was deleted."
                )
            return found.session.replace(place) if replace else found.session.toggle(place)

        self._change(change)

    def _make_controls(self) -> None:
        self.segment_button = self._make_button("Segment", self.segment)
        self.cancel_button = self._make_button("Cancel", self.cancel)
        self.progress, self.status = QProgressBar(), QLabel()
        self.status.setWordWrap(True)
        self.pick_button = QPushButton("Pick clusters")
        self.pick_button.setCheckable(True)
        self.pick_button.toggled.connect(self._switch_picking)
        self.pick_button.setToolTip(
            "Click a cluster outside the mask to add it to the target, or inside to remove it. "
            "With Shift, the cluster replaces the target."
        )
        self.undo_button = self._make_button("Undo", self.undo)
        self.inside_button = self._make_button("Paint inside", lambda: self.paint(INSIDE))
        self.outside_button = self._make_button("Paint outside", lambda: self.paint(OUTSIDE))
        self.correct_button = self._make_button("Correct", self.correct)
        self.clear_button = self._make_button("Clear marks", self.clear_marks)
        self.save_button = self._make_button("Save…", self.save)
        self.replace_files = QCheckBox("replace files")
        grid = QGridLayout()
        pairs = (
            (self.segment_button, self.cancel_button),
            (self.pick_button, self.undo_button),
            (self.inside_button, self.outside_button),
            (self.correct_button, self.clear_button),
            (self.save_button, self.replace_files),
        )
        for row, pair in enumerate(pairs):
            for column, control in enumerate(pair):
                # The bar and the text are between the first row and the others.
                grid.addWidget(control, row if row == 0 else row + 2, column)
        grid.addWidget(self.progress, 1, 0, 1, 2)
        grid.addWidget(self.status, 2, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        layout.addLayout(grid)
        layout.addStretch()

    def _make_button(self, text: str, action: Callable[[], None]) -> Any:
        button = QPushButton(text)
        button.clicked.connect(lambda: action())  # without Qt's argument
        return button

    def _follow_layers(self) -> None:
        """Update the panel when layers come, go or get another name."""
        events, callbacks = self._viewer.layers.events, self._viewer.mouse_drag_callbacks
        emitters = (events.inserted, events.removed, events.reordered, events.renamed)
        for emitter in emitters:
            emitter.connect(self._update_layers)

        def detach() -> None:
            """Stop what would use the panel after Qt has deleted it, which may be before napari."""
            self._is_open = False
            for emitter in emitters:
                emitter.disconnect(self._update_layers)
            if self._on_drag in callbacks:
                callbacks.remove(self._on_drag)

        self.destroyed.connect(detach)

    def _update_layers(self, event: Any = None) -> None:
        for layer in [one for one in self._results if one not in self._viewer.layers]:
            del self._results[layer]
        self.form.refresh()
        self._refresh()

    def _finish(self, job: Job, layer: Any, session: Session | None) -> None:
        """Show what a job found."""
        self._timer.stop()
        self._job = None
        if session is not None and layer not in self._viewer.layers:
            show_warning(f"{job.cut.name} was deleted while it was segmented.")
        elif session is not None:
            before = self._results.get(layer)
            layers = ResultLayers(self._viewer, layer, job.cut) if before is None else before.layers
            if not layers.fits(job.cut):
                layers.remove()
                layers = ResultLayers(self._viewer, layer, job.cut)
            self._results[layer] = _Found(session, layers)
            layers.show(session)
            layers.activate("clusters")
            for note in session.notes:
                show_info(note)
        elif job.error:
            show_error(job.error)
        self._refresh()
        if job.is_cancelled:
            self.status.setText("Cancelled.")

    def _change(self, change: Callable[[_Found], str]) -> None:
        """Change the target, and show the result or why it can't be changed."""
        found = self._results.get(self.form.layer)
        if found is None:
            return
        try:
            text = change(found)
        except Exception as error:
            self._report(error)
            return
        found.layers.show(found.session)
        self._refresh()
        self.status.setText(f"{text}\n{found.session.describe()}")

    def _choose_rule(self, rule: str) -> None:
        self._change(lambda found: found.session.choose(rule))

    def _report(self, error: Exception) -> None:
        layer = self.form.layer
        show_error(explain(error, "The image" if layer is None else layer.name))

    def _switch_picking(self, is_on: bool) -> None:
        callbacks = self._viewer.mouse_drag_callbacks
        if not is_on:
            if self._on_drag in callbacks:
                callbacks.remove(self._on_drag)
            return
        found = self._results.get(self.form.layer)
        layer = None if found is None else found.layers.activate("clusters")
        if layer is not None:
            layer.mode = "pan_zoom"
        callbacks.append(self._on_drag)

    def _on_drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """Pick a cluster by a click; a drag moves the view."""
        if event.button not in (None, 1):
            return
        position, is_shift = tuple(event.position), "Shift" in event.modifiers
        begin, moved = tuple(event.pos), 0.0
        yield
        while event.type == "mouse_move":
            moved = max(moved, *(abs(a - b) for a, b in zip(event.pos, begin, strict=True)))
            yield
        if moved <= _SHAKE:
            self.pick(position, is_shift)

    def _show_progress(self) -> None:
        job = self._job
        if job is None:
            return
        self.progress.setRange(0, job.total)  # 0 to 0 shows that something is going on
        self.progress.setValue(job.done)
        self.status.setText("Cancelling …" if job.is_cancelled else f"{job.state} …")

    def _refresh(self) -> None:
        """Enable the buttons that have something to do, and describe the result."""
        job, session = self._job, self.session
        self.segment_button.setEnabled(job is None and self.form.layer is not None)
        self.cancel_button.setEnabled(job is not None and not job.is_cancelled)
        self.progress.setVisible(job is not None)
        for button in (
            *(self.pick_button, self.inside_button, self.outside_button),
            *(self.correct_button, self.clear_button, self.save_button, self.replace_files),
        ):
            button.setEnabled(session is not None)
        self.undo_button.setEnabled(session is not None and session.can_undo)
        if session is None:
            self.pick_button.setChecked(False)
        if job is None:
            self.status.setText("" if session is None else session.describe())
        else:
            self._show_progress()
