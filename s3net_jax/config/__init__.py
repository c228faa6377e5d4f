"""Define configurations as frozen, hashable dataclasses; ``presets.py`` has the named presets."""

from __future__ import annotations

from s3net_jax.config.config import Config, check_config
from s3net_jax.config.convert import parse_overrides
from s3net_jax.config.methods import MethodConfig, make_method_config, register_method_config
from s3net_jax.config.rivals import (
    DeepClusterConfig,
    DFCConfig,
    IICConfig,
    MSFormerConfig,
    SGSCNConfig,
    SLICBackpropConfig,
)
from s3net_jax.config.sections import (
    AffineConfig,
    FitConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    SegmentConfig,
)
from s3net_jax.config.slices import ALL_SLICES, find_slices, format_slices
from s3net_jax.errors import ConfigError

__all__ = [
    "ALL_SLICES",
    "AffineConfig",
    "Config",
    "ConfigError",
    "DFCConfig",
    "DeepClusterConfig",
    "FitConfig",
    "IICConfig",
    "InputConfig",
    "LossConfig",
    "MSFormerConfig",
    "MethodConfig",
    "ModelConfig",
    "SGSCNConfig",
    "SLICBackpropConfig",
    "SegmentConfig",
    "check_config",
    "find_slices",
    "format_slices",
    "make_method_config",
    "parse_overrides",
    "register_method_config",
]
