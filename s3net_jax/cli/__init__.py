"""The command ``s3net``."""

from s3net_jax.cli.command import main

__all__ = ["main"]
