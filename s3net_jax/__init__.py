"""Unsupervised segmentation of a single image by optimisation: S3-Net in JAX.

``import s3net_jax`` is cheap: each name below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3net_jax import fitting, interop, losses, measure, methods, nn, ops
    from s3net_jax.api import (
        Segmentation,
        VolumeSegmentation,
        prepare,
        segment,
        segment_batch,
        segment_volume,
    )
    from s3net_jax.config import (
        AffineConfig,
        Config,
        FitConfig,
        InputConfig,
        LossConfig,
        MethodConfig,
        ModelConfig,
        SegmentConfig,
    )
    from s3net_jax.errors import ConfigError, DivergedError, InputError, OutputError
    from s3net_jax.fitting import FitResult, Hyper, fit, fit_batch, grid, hyperparameters
    from s3net_jax.masks import Consensus, consensus
    from s3net_jax.presets import PRESETS, preset, register_preset
    from s3net_jax.run import make_key
    from s3net_jax.version import get_package_version

    __version__ = get_package_version()

_HOMES = {
    "AffineConfig": "config",
    "Config": "config",
    "ConfigError": "errors",
    "Consensus": "masks",
    "DivergedError": "errors",
    "FitConfig": "config",
    "FitResult": "fitting",
    "Hyper": "fitting",
    "InputConfig": "config",
    "InputError": "errors",
    "LossConfig": "config",
    "MethodConfig": "config",
    "ModelConfig": "config",
    "OutputError": "errors",
    "PRESETS": "presets",
    "SegmentConfig": "config",
    "Segmentation": "api",
    "VolumeSegmentation": "api",
    "consensus": "masks",
    "fit": "fitting",
    "fit_batch": "fitting",
    "grid": "fitting",
    "hyperparameters": "fitting",
    "make_key": "run",
    "prepare": "api",
    "preset": "presets",
    "register_preset": "presets",
    "segment": "api",
    "segment_batch": "api",
    "segment_volume": "api",
}
_MODULES = ("fitting", "interop", "losses", "measure", "methods", "nn", "ops")

__all__ = [
    "PRESETS",
    "AffineConfig",
    "Config",
    "ConfigError",
    "Consensus",
    "DivergedError",
    "FitConfig",
    "FitResult",
    "Hyper",
    "InputConfig",
    "InputError",
    "LossConfig",
    "MethodConfig",
    "ModelConfig",
    "OutputError",
    "SegmentConfig",
    "Segmentation",
    "VolumeSegmentation",
    "__version__",
    "consensus",
    "fit",
    "fit_batch",
    "fitting",
    "grid",
    "hyperparameters",
    "interop",
    "losses",
    "make_key",
    "measure",
    "methods",
    "nn",
    "ops",
    "prepare",
    "preset",
    "register_preset",
    "segment",
    "segment_batch",
    "segment_volume",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"s3net_jax.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"s3net_jax.{name}")
    elif name == "__version__":
        from s3net_jax.version import get_package_version

        value = get_package_version()
    else:
        raise AttributeError(f"module 's3net_jax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
