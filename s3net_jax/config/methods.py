"""Settings of the methods other than S3-Net, one dataclass each, and their registry."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from s3net_jax.config.sections import LossConfig, ModelConfig
from s3net_jax.dotted import find_differences
from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["IICConfig", "MethodConfig", "make_method_config", "register_method_config"]


@dataclass(frozen=True)
class MethodConfig:
    """Settings of a method itself; those of S3-Net are in the sections ``model`` and ``loss``.

    A method of your own has a frozen subclass with a default for every field, registered by
    :func:`register_method_config`. Its loss weights can be listed in ``weights``.
    """

    name: str = "s3net"
    """Name of the method."""

    weights: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that are loss weights: dynamic numbers, which :func:`s3net_jax.grid` can
    vary without compiling again. Every other field is static."""

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for fields of a ``Config`` that this method can't use."""
        if self.name != "s3net":
            refuse_foreign_fields(config)


_SHARED = ("channels", "blocks", "dtype", "precision", "implementation", "weight_ce")


def refuse_foreign_fields(config: Any) -> None:
    """Raise :class:`ConfigError` if a field that only S3-Net reads is not at its default."""
    sections = {"model": (config.model, ModelConfig()), "loss": (config.loss, LossConfig())}
    for section, (given, default) in sections.items():
        for name, value in find_differences(given, default).items():
            if name not in _SHARED:
                raise ConfigError(
                    f"{section}.{name}={value} has no effect on the method {config.method.name}: "
                    "leave it out, or use a preset of S3-Net."
                )


C = TypeVar("C", bound=MethodConfig)
_CONFIGS: dict[str, type[MethodConfig]] = {"s3net": MethodConfig}


def register_method_config(settings: type[C]) -> type[C]:
    """Make the settings of a method known by their name; usable as a decorator.

    Args:
      settings: frozen dataclass, a subclass of :class:`MethodConfig` with a default for every
        field.

    Raises:
      ValueError: another class has the name.
      TypeError: ``settings`` is not such a dataclass.
    """
    if not (isinstance(settings, type) and issubclass(settings, MethodConfig)):
        raise TypeError(f"{settings!r} is not a subclass of s3net_jax.MethodConfig.")
    if "__dataclass_params__" not in vars(settings) or not _is_frozen(settings):
        raise TypeError(f"{settings.__name__} needs the decorator @dataclass(frozen=True).")
    name = settings().name
    known = _CONFIGS.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (
        settings.__module__,
        settings.__qualname__,
    ):
        raise ValueError(f"There is a method {name!r} already: choose another name.")
    _CONFIGS[name] = settings
    return settings


def make_method_config(name: object) -> MethodConfig:
    """Return the default settings of the method called ``name``.

    Raises:
      ConfigError: no method has that name.
    """
    if name not in _CONFIGS:
        hint = suggest_nearest(str(name), list(_CONFIGS))
        raise ConfigError(f"There is no method {name!r}.{hint}")
    return _CONFIGS[str(name)]()


def _is_frozen(settings: type) -> bool:
    return dataclasses.is_dataclass(settings) and settings.__dataclass_params__.frozen  # pyright: ignore


@register_method_config
@dataclass(frozen=True)
class IICConfig(MethodConfig):
    """Settings of IIC (invariant information clustering); defaults as published for COCO-Stuff-3.

    ``model.channels`` is the number of clusters of head B, whose label map is the result.
    """

    name: str = "iic"
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

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for values out of range, or fields that IIC doesn't use."""
        refuse_foreign_fields(config)
        for section, name in (("model", "blocks"), ("loss", "weight_ce")):
            given = getattr(getattr(config, section), name)
            if given != getattr({"model": ModelConfig(), "loss": LossConfig()}[section], name):
                raise ConfigError(
                    f"{section}.{name}={given} has no effect on the method iic: leave it out."
                )
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
