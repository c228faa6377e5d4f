"""Settings of the methods other than S3-Net, one dataclass each, and their registry."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from s3net_jax.config.sections import LossConfig, ModelConfig
from s3net_jax.dotted import find_differences
from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["DeepClusterConfig", "MethodConfig", "make_method_config", "register_method_config"]


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
class DeepClusterConfig(MethodConfig):
    """Settings of DeepCluster for pixels; a step of a fit is a round of clustering and training.

    ``model.channels`` is the number of features, ``model.blocks`` that of the convolutions.
    """

    name: str = "deepcluster"
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
