"""What the settings of every method have, and the registry of their classes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from s3net_jax.config.sections import LossConfig, ModelConfig
from s3net_jax.dotted import find_differences
from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = [
    "MethodConfig",
    "make_method_config",
    "refuse_foreign_fields",
    "register_method_config",
]


@dataclass(frozen=True)
class MethodConfig:
    """Settings of a method itself; those of S3-Net are in the sections ``model`` and ``loss``.

    A custom method has a frozen subclass with a default for every field, registered by
    :func:`register_method_config`. Its loss weights can be listed in ``weights``.
    """

    name: str = "s3net"
    """Name of the method."""

    trained_on: ClassVar[str] = "image"
    """``image``, or ``folder`` for settings that train on many images
    (:func:`s3net_jax.fitting.fit_dataset`); a method that can do both has a field of that name."""

    weights: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that are loss weights: dynamic numbers, which :func:`s3net_jax.grid` can
    vary without compiling again. Every other field is static."""

    reads: ClassVar[tuple[str, ...]] = (
        "model.channels",
        "model.blocks",
        "model.dtype",
        "model.precision",
        "model.implementation",
        "loss.weight_ce",
    )
    """Names of the fields of the sections ``model`` and ``loss`` that the method reads; others must
    have their defaults. S3-Net reads all of them."""

    def validate(self, config: Any) -> None:
        """Raise :class:`ConfigError` for fields of a ``Config`` that this method can't use."""
        if self.name != "s3net":
            refuse_foreign_fields(config)


def refuse_foreign_fields(config: Any) -> None:
    """Raise :class:`ConfigError` if a field that the method does not read has another value."""
    sections = {"model": (config.model, ModelConfig()), "loss": (config.loss, LossConfig())}
    for section, (given, default) in sections.items():
        for name, value in find_differences(given, default).items():
            if f"{section}.{name}" not in config.method.reads:
                raise ConfigError(
                    f"{section}.{name}={value} has no effect on the method {config.method.name}: "
                    "leave it out, or use a preset of S3-Net."
                )


Settings = TypeVar("Settings", bound=MethodConfig)

_CONFIGS: dict[str, type[MethodConfig]] = {"s3net": MethodConfig}


def register_method_config(settings: type[Settings]) -> type[Settings]:
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
