"""Set up a run of the command: configuration, display and engine.

Heavy packages are imported only when they are needed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from s3net_jax.cli.arguments import ENGINES
from s3net_jax.cli.idle import find_idle_settings
from s3net_jax.config import Config, parse_overrides
from s3net_jax.errors import UsageError, suggest_nearest
from s3net_jax.jax_setup import load_jax
from s3net_jax.parallel import run_in_thread
from s3net_jax.presets import DEFAULT_PRESET, preset

if TYPE_CHECKING:
    from s3net_jax.cli.display import QuietDisplay
    from s3net_jax.run import Engine

__all__ = ["open_session", "parse_count", "parse_seed", "read_config"]


def read_config(args: argparse.Namespace) -> Config:
    """Build the configuration from the preset and the options in ``args``.

    With ``--model`` and without ``--preset``, it starts from the configuration in the model's file.

    Raises:
      ConfigError: a preset or field does not exist, or a value is invalid.
      InputError: the model's file can't be read.
    """
    model = getattr(args, "model", None)
    if model is not None and args.preset is None:
        load_jax("s3net_jax.run", "s3net_jax.fitting")
        from s3net_jax.run import read_model_config

        config = read_model_config(model)
    else:
        config = preset(args.preset or DEFAULT_PRESET)
    config = config.replace(**parse_overrides(args.sets))
    if args.size is not None:
        config = config.replace(input={"size": args.size})
    if args.target is not None:
        config = config.replace(segment={"target": args.target})
    for option in ("window", "axis", "tile", "slices"):
        if getattr(args, option, None) is not None:
            config = config.replace(input={option: getattr(args, option)})
    if getattr(args, "clusters", None) is not None:
        config = config.replace(segment={"clusters": args.clusters})
    if getattr(args, "one_network", False):
        config = config.replace(fit={"volume": "shared"})
    load_jax("s3net_jax.run", "s3net_jax.fitting")
    from s3net_jax.io import parse_window
    from s3net_jax.masks import check_target

    check_target(config.segment.target)
    parse_window(config.input.window)
    return config


def parse_seed(text: str) -> int:
    """Parse a seed; raise :class:`UsageError` if it is not in [0, 2³²)."""
    if not (text.isascii() and text.isdecimal() and int(text) < 2**32):
        raise UsageError(f"The seed {text!r} is not a whole number from 0 to {2**32 - 1}.")
    return int(text)


def parse_count(text: str, option: str) -> int:
    """Parse the count given to ``option``; raise :class:`UsageError` if it is not in [1, 10000]."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 10_000):
        more = " or auto" if option == "--batch" else ""
        raise UsageError(f"{option} {text!r} is not a whole number from 1 to 10000{more}.")
    return int(text)


@contextmanager
def open_session(
    args: argparse.Namespace, config: Config, seed: int, seeds: int
) -> Iterator[tuple[Engine, QuietDisplay]]:
    """Open the engine and the display that ``args`` specify, and close them at the end."""
    display = _make_display(args, config, seed, seeds)
    for sentence in find_idle_settings(config, parse_overrides(getattr(args, "sets", []))):
        display.say(sentence)
    engine = _make_engine(args, config, display.say)
    try:
        yield engine, display
    finally:
        display.close()
        engine.close()


def _make_engine(args: argparse.Namespace, config: Config, say: Callable[[str], None]) -> Engine:
    text = getattr(args, "batch", "auto")
    batch = None if text == "auto" else parse_count(text, "--batch")
    name = getattr(args, "engine", "local")
    if name not in ENGINES:
        raise UsageError(f"There is no engine {name!r}.{suggest_nearest(name, ENGINES)}")
    for option, engine in (("workers", "processes"), ("ray_address", "ray")):
        if getattr(args, option, None) is not None and name != engine:
            raise UsageError(f"--{option.replace('_', '-')} requires --engine {engine}.")
    if name == "ray":
        from s3net_jax.run.engines import RayEngine

        return RayEngine(config, batch=batch, address=args.ray_address, say=say)
    if name == "processes":
        from s3net_jax.run.engines import ProcessEngine

        workers = None if args.workers is None else parse_count(args.workers, "--workers")
        return ProcessEngine(config, workers=workers, batch=batch, say=say)
    from s3net_jax.run import LocalEngine
    from s3net_kernels import keep_memory

    if args.own_process:
        keep_memory()
    return LocalEngine(config, batch=batch, call=run_in_thread, say=say)


def _make_display(args: argparse.Namespace, config: Config, seed: int, seeds: int) -> QuietDisplay:
    from s3net_jax.cli import display as displays

    if args.json:
        return displays.JsonDisplay()
    if args.quiet:
        return displays.QuietDisplay()
    if sys.stderr.isatty() and not args.plain:
        return displays.LiveDisplay(config, seed, seeds)
    return displays.PlainDisplay(config, seed, seeds)
