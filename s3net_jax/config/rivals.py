"""Settings of the methods other than S3-Net, one dataclass each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from s3net_jax.config.methods import (
    MethodConfig,
    refuse_foreign_fields,
    register_method_config,
)
from s3net_jax.config.sections import LARGEST_SIZE
from s3net_jax.errors import ConfigError

__all__ = [
    "DFCConfig",
    "DeepClusterConfig",
    "IICConfig",
    "MSFormerConfig",
    "SGSCNConfig",
    "SLICBackpropConfig",
]


@register_method_config
@dataclass(frozen=True)
class MSFormerConfig(MethodConfig):
    """Settings of MS-Former (Karimijafarbigloo et al., MIDL 2023).

    The defaults are the weights with which the authors' notebook evaluates; the cell that draws
    pictures has ``weight_inter=2`` and ``weight_intra=1.2``. ``input.size`` must be 32·n + 1; at 33
    there is only one patch, and the intra-scale loss is 0.
    """

    name: str = "ms-former"
    weight_inter: float = 1.5
    """Weight of the inter-scale loss, which compares the attention contexts of both scales."""
    weight_intra: float = 1.3
    """Weight of the intra-scale loss, which compares patches of the logits with shifted ones."""

    weights: ClassVar[tuple[str, ...]] = ("weight_inter", "weight_intra")
    patch: ClassVar[int] = 32
    """Side in pixels of a patch. The map shifted by one pixel must consist of whole patches."""

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for a size without whole patches, and for foreign fields."""
        super().validate(config)
        size, aspect = config.input.size, config.input.aspect
        if aspect != "square":
            raise ConfigError(
                f"input.aspect={aspect} gives sides that are multiples of 16, but the method "
                f"{self.name} takes sides of {self.patch}·n + 1 pixels: use input.aspect=square."
            )
        if size not in (near := self.find_sizes(size)):
            choices = " or ".join(str(n) for n in near if n <= LARGEST_SIZE)
            raise ConfigError(
                f"input.size must be {self.patch}·n + 1 for the method {self.name}, got {size}: "
                f"use {choices}."
            )

    @classmethod
    def find_sizes(cls, size: int) -> list[int]:
        """Return the valid sizes next to ``size``, in ascending order; a valid size itself."""
        count, rest = divmod(size - 1, cls.patch)
        counts = [count] if rest == 0 else [count, count + 1]
        return [n * cls.patch + 1 for n in dict.fromkeys(max(1, n) for n in counts)]


@register_method_config
@dataclass(frozen=True)
class SGSCNConfig(MethodConfig):
    """Settings of SGSCN (Ahn, Feng and Kim, MICCAI 2021)."""

    name: str = "sgscn"
    weight_continuity: float = 5.0
    """Weight of the mean absolute difference of neighbouring responses."""
    center: Literal["off", "released", "softmax"] = "off"
    """Term for the spread of each cluster around its centre. ``off`` is the released code's
    default. ``released`` weights pixels by the responses, as the code's option does: their mean is
    0, so the term has no scale, and the labels collapse to one. ``softmax``, which is ours,
    weights them by the softmax of the responses; the paper's text speaks of a probability map."""
    weight_center: float = 1.0
    """Weight of that term."""

    weights: ClassVar[tuple[str, ...]] = ("weight_continuity", "weight_center")

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for fields of a ``Config`` that SGSCN can't use."""
        super().validate(config)
        if self.center == "off" and self.weight_center != type(self)().weight_center:
            raise ConfigError(
                f"method.weight_center={self.weight_center} has no effect with method.center=off: "
                "leave it out, or set method.center to released or softmax."
            )


@register_method_config
@dataclass(frozen=True)
class DFCConfig(MethodConfig):
    """Settings of DFC (Kim, Kanezaki and Tanaka, IEEE TIP 29, 2020)."""

    name: str = "dfc"
    weight_continuity: float = 1.0
    """Weight of the mean absolute difference of neighbouring responses."""

    weights: ClassVar[tuple[str, ...]] = ("weight_continuity",)


@register_method_config
@dataclass(frozen=True)
class SLICBackpropConfig(MethodConfig):
    """Settings of backpropagation with superpixel refinement (Kanezaki, ICASSP 2018)."""

    name: str = "slic-backprop"
    superpixels: int = 10_000
    """Approximate number of SLIC superpixels, at least 1."""
    compactness: float = 100.0
    """Weight of distance in space against distance in colour in SLIC, positive."""

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for fields of a ``Config`` that this method can't use."""
        super().validate(config)
        if self.superpixels < 1:
            raise ConfigError(f"method.superpixels must be at least 1, got {self.superpixels}.")
        if self.compactness <= 0:
            raise ConfigError(f"method.compactness must be positive, got {self.compactness}.")


@register_method_config
@dataclass(frozen=True)
class IICConfig(MethodConfig):
    """Settings of IIC (invariant information clustering); defaults as published for COCO-Stuff-3.

    ``model.channels`` is the number of clusters of head B, whose label map is the result.
    """

    name: str = "iic"
    trained_on: Literal["image", "folder"] = "folder"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Whether ``s3net_jax.fit`` or ``s3net_jax.fitting.fit_dataset`` trains the network."""
    width: int = 64
    """Number of channels of the first convolution; the last has eight times as many. Time grows
    with the square."""
    overclusters: int = 15
    """Number of clusters of head A, which only helps to train the network; at least 2."""
    crops: int = 1
    """Number of random crops of every image in a step, at least 1."""
    crop_side: float = 1.0
    """Sides of the crops as a fraction of the image's, in (0, 1]."""
    displacement: int = 10
    """Largest displacement T in pixels between two pixels whose clusters are compared."""
    collapsed: bool = False
    """Sum the counts of all displacements and compute one mutual information, instead of averaging
    the information of every displacement, as published."""
    lambda_a: float = 1.0
    """Weight of the marginal entropies in the loss of head A."""
    lambda_b: float = 1.5
    """Weight of the marginal entropies in the loss of head B; above 1 it prefers clusters of
    similar sizes."""
    brightness: float = 0.4
    """Range of random brightness: factors from 1 − b to 1 + b, with b in [0, 1]."""
    contrast: float = 0.4
    """Range of random contrast, as ``brightness``."""
    saturation: float = 0.4
    """Range of random saturation, as ``brightness``."""
    hue: float = 0.125
    """Range of random hue as a fraction of the colour circle, in [0, 0.5]."""
    flip: bool = True
    """Mirror every second view with probability ½."""
    rotation: float = 0.0
    """Largest random rotation of second views in degrees, in [0, 180]."""
    shear: float = 0.0
    """Largest random shear of second views in degrees, in [0, 79]."""
    scale: float = 0.0
    """Range of random zooms of second views: factors from 1 − s to 1 + s, with s in
    [0, 0.9]."""

    weights: ClassVar[tuple[str, ...]] = ("lambda_a", "lambda_b")
    reads: ClassVar[tuple[str, ...]] = tuple(
        name for name in MethodConfig.reads if name not in ("model.blocks", "loss.weight_ce")
    )

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for values out of range, or fields that IIC doesn't use."""
        refuse_foreign_fields(config)
        limits = {
            "width": (1, 1024),
            "overclusters": (2, 1024),
            "crops": (1, 4096),
            "displacement": (0, 64),
            "lambda_a": (0, 100),
            "lambda_b": (0, 100),
            "brightness": (0, 1),
            "contrast": (0, 1),
            "saturation": (0, 1),
            "hue": (0, 0.5),
            "rotation": (0, 180),
            "shear": (0, 79),
            "scale": (0, 0.9),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"method.{name} must be in {low}..{high}, got {getattr(self, name)}."
                )
        if not 0 < self.crop_side <= 1:
            raise ConfigError(f"method.crop_side must be in (0, 1], got {self.crop_side}.")


@register_method_config
@dataclass(frozen=True)
class DeepClusterConfig(MethodConfig):
    """Settings of DeepCluster for pixels; a step of a fit is a round of clustering and training.

    ``model.channels`` is the number of features, ``model.blocks`` that of the convolutions.
    """

    name: str = "deepcluster"
    trained_on: Literal["image", "folder"] = "image"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Whether ``s3net_jax.fit`` or ``s3net_jax.fitting.fit_dataset`` trains the network."""
    clusters: int = 3
    """Number of clusters K of k-means, at least 2 and at most ``model.channels``."""
    components: int = 16
    """Number of principal components that are clustered, at least 1; all if the features have no
    more."""
    iterations: int = 20
    """Number of Lloyd iterations of k-means, at least 1."""
    inner: int = 5
    """Number of SGD steps between two clusterings; on a data set, number of passes over it."""
    weight_decay: float = 1e-5
    """Factor of the parameters that is added to their gradients."""
    flip: bool = False
    """Mirror the image, and its pseudo labels, with probability ½ in every SGD step."""
    jitter: float = 0.0
    """Largest random change of brightness and contrast in every SGD step, in [0, 1)."""

    weights: ClassVar[tuple[str, ...]] = ("weight_decay",)

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for values out of range, or fields that are not used."""
        refuse_foreign_fields(config)
        channels, stop = config.model.channels, config.fit.stop_labels

        def need(ok: bool, message: str) -> None:
            if not ok:
                raise ConfigError(f"method.{message}")

        need(
            2 <= self.clusters <= channels,
            f"clusters must be in 2..model.channels={channels}, got {self.clusters}.",
        )
        for name in ("components", "iterations", "inner"):
            value = getattr(self, name)
            need(value >= 1, f"{name} must be at least 1, got {value}.")
        need(self.weight_decay >= 0, f"weight_decay must be at least 0, got {self.weight_decay}.")
        need(0 <= self.jitter < 1, f"jitter must be in [0, 1), got {self.jitter}.")
        need(
            stop < self.clusters,
            f"clusters={self.clusters} would end every fit early with fit.stop_labels={stop}: "
            "set fit.stop_labels=0.",
        )
