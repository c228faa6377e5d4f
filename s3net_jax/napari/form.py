"""The part of the panel in which a user chooses what is segmented, and how."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal  # pyright: ignore[reportMissingImports]
from qtpy.QtWidgets import (  # pyright: ignore[reportMissingImports]
    QCheckBox,
    QComboBox,
    QFormLayout,
    QSpinBox,
    QWidget,
)

from s3net_jax.napari.job import Settings
from s3net_jax.napari.result_layers import list_images
from s3net_jax.napari.source import Use, list_uses
from s3net_jax.presets import DEFAULT_PRESET, PRESETS, preset

__all__ = ["SettingsForm"]

_MAX_STEPS = 1000  # far above the 8 to 50 steps of the presets
_MAX_SEED = 2**31 - 1  # the largest value of a spin box
_RULES = ("auto", "dark", "bright", "center", "all")
_USES: dict[Use, str] = {
    "image": "picture",
    "slice": "slice that is shown",
    "volume": "volume, all slices",
    "channels": "picture with channels",
}


class SettingsForm(QWidget):
    """Fields for the layer, its use, and the settings of the fits.

    Signals:
      image_changed: another layer is chosen, or none.
      target_chosen: the user chose a rule; its name.
    """

    image_changed = Signal()
    target_chosen = Signal(str)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._images: list[Any] = []
        self.image, self.use = QComboBox(), QComboBox()
        self.preset, self.target = QComboBox(), QComboBox()
        self.steps, self.seed = QSpinBox(), QSpinBox()
        self.limits = QCheckBox("as the contrast limits")
        self.preset.addItems([*PRESETS])
        self.target.addItems(_RULES)
        self.steps.setRange(0, _MAX_STEPS)
        self.seed.setRange(0, _MAX_SEED)
        self._explain_fields()
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.AllNonFixedFieldsGrow)
        layout.addRow("Image", self.image)
        layout.addRow("Segment the", self.use)
        layout.addRow("Black and white", self.limits)
        layout.addRow("Preset", self.preset)
        layout.addRow("Steps", self.steps)
        layout.addRow("Target", self.target)
        layout.addRow("Seed", self.seed)
        self.preset.currentTextChanged.connect(self._show_steps)
        self.image.currentIndexChanged.connect(self._show_uses)
        self.target.textActivated.connect(self.target_chosen)
        self.preset.setCurrentText(DEFAULT_PRESET)
        self._show_steps(DEFAULT_PRESET)
        self.refresh()

    @property
    def layer(self) -> Any:
        """The chosen image layer, or None."""
        index = self.image.currentIndex()
        return self._images[index] if 0 <= index < len(self._images) else None

    def read_use(self) -> Use:
        """Return the chosen use of the layer."""
        return self.use.currentData()

    def read(self) -> Settings:
        """Return the chosen settings."""
        return Settings(
            preset=self.preset.currentText(),
            steps=self.steps.value() or None,
            target=self.target.currentText(),
            seed=self.seed.value(),
        )

    def refresh(self) -> None:
        """List the image layers again, and keep the choice."""
        before, self._images = self.layer, list_images(self._viewer)
        names = [layer.name for layer in self._images]
        chosen = self._images.index(before) if before in self._images else len(names) - 1
        self.image.blockSignals(True)
        self.image.clear()
        self.image.addItems(names)
        self.image.setCurrentIndex(chosen)
        self.image.blockSignals(False)
        if self.layer is not before or before is None:
            self._show_uses()

    def _show_uses(self) -> None:
        layer = self.layer
        self.use.clear()
        if layer is not None:
            shape = (layer.data[0] if layer.multiscale else layer.data).shape[: layer.ndim]
            for use in list_uses(shape, bool(layer.rgb)):
                self.use.addItem(_USES[use], use)
            self.limits.setEnabled(not layer.rgb and layer.dtype != "uint8")
        self.image_changed.emit()

    def _show_steps(self, name: str) -> None:
        if name in PRESETS:
            self.steps.setSpecialValueText(f"{preset(name).fit.steps} (of the preset)")

    def _explain_fields(self) -> None:
        self.use.setToolTip("Part of the layer that is segmented.")
        self.limits.setToolTip(
            "Show the contrast limits of the layer as black and white to the network; otherwise "
            "the darkest and brightest 0.5 % of the values. Pictures of 8 bits are not scaled."
        )
        self.preset.setToolTip("Named settings: see the page Presets and targets.")
        self.steps.setToolTip("Optimisation steps of each fit; 0 takes those of the preset.")
        self.target.setToolTip(
            "Rule that chooses the target. If the picture is segmented already, another rule is "
            "applied at once, without a new fit."
        )
        self.seed.setToolTip("The same seed gives the same result.")
