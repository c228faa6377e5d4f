"""Read experiment files of ``s3net tune``: a preset, a grid, a few images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError
from s3net_jax.experiments.data import DataSet, read_data
from s3net_jax.experiments.fields import Fields, check_seeds, check_targets, load_fields
from s3net_jax.experiments.spec import check_kind, read_preset

__all__ = ["Tuning", "find_varied_fields", "read_tuning"]

_FIELDS = {
    "weight_ce": "loss",
    "weight_affine": "loss",
    "weight_spatial": "loss",
    "learning_rate": "fit",
    "momentum": "fit",
}

_PLAIN = {"input.tile": 0, "fit.members": 1, "segment.choice": "clusters"}
"""Field → value it must have in a search. Other values combine several fits, or more than the last
labels of a fit, into one result."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """A search.

    Attributes:
      title: title of one line.
      config: base configuration; ``fit.steps`` is the largest number of steps.
      values: name among :func:`find_varied_fields` → values to try.
      steps: numbers of steps to score, in ascending order.
      data: data sets to search on.
      seed: first seed of every image.
      seeds: number of fits of every image and setting, whose scores are averaged.
    """

    title: str
    config: Config
    values: Mapping[str, tuple[float, ...]]
    steps: tuple[int, ...]
    data: tuple[DataSet, ...]
    seed: int = 0
    seeds: int = 1


def find_varied_fields(config: Config) -> dict[str, str]:
    """Return the fields that can vary without recompilation, each with its section.

    These are the numbers of a :class:`s3net_jax.Hyper` that the method reads, in the order in which
    tables list them.
    """
    read = config.list_fields()
    found = {name: home for name, home in _FIELDS.items() if f"{home}.{name}" in read}
    return {**found, **dict.fromkeys(config.method.weights, "method")}


def read_tuning(
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    seeds: int | None = None,
) -> Tuning:
    """Read the file of a search; for arguments see :func:`s3net_jax.experiments.read_grid`.

    Raises:
      ConfigError: if the file is invalid; the message says what is wrong and where.
    """
    fields = load_fields(path)
    check_kind(fields, "tuning")
    title = fields.get_text("title")
    own_seed, own_seeds = fields.get_count("seed", 0, low=0), fields.get_count("seeds", 1)
    config = fields.apply("set", read_preset(fields, fields.get_text("preset")))
    config = check_targets(config.replace(**(overrides or {})))
    if not fields.has("grid"):
        fields.fail(f"there is no [grid]: add one with the values to try.{fields.suggest('grid')}")
    values = _read_values(fields.get_table("grid"), config)
    steps = _read_steps(fields, config.fit.steps)
    data = read_data(fields)
    fields.finish()
    for name, plain in _PLAIN.items():
        section, _, field = name.partition(".")
        found = config.to_dict()[section].get(field, plain)
        if found != plain:
            fields.fail(
                f"{name} is {found!r}: set it to {plain!r}, because a search scores the labels of "
                "one fit of the whole image after each step."
            )
    if config.method.trained_on == "folder":
        fields.fail(
            f"the preset {config.preset} trains one network on all images, but a search fits every "
            "image: compare settings with s3net compare."
        )
    seed = own_seed if seed is None else seed
    seeds = own_seeds if seeds is None else seeds
    check_seeds(fields, seed, seeds)
    return Tuning(title, config, values, steps, data, seed, seeds)


def _read_values(grid: Fields, config: Config) -> dict[str, tuple[float, ...]]:
    values = {}
    fields = find_varied_fields(config)
    for section in dict.fromkeys([*_FIELDS.values(), "method"]):
        table = grid.get_table(section)
        known = [name for name, home in fields.items() if home == section]
        for name in (n for n in known if table.has(n)):
            values[name] = table.get_numbers(name)
            for value in values[name]:
                try:
                    config.replace(**{section: {name: value}})
                except ConfigError as error:
                    table.fail(str(error))
        for name in table.get_names():
            if name not in known:
                none = f"{config.method.name} has no loss weights there. Drop grid.{section}"
                choice = f"choose from {', '.join(known)}" if known else none
                table.fail(f"{name!r} can't be varied here: {choice}.")
    grid.finish()
    if not values:
        grid.fail("there is nothing to vary: add values, such as loss.weight_ce = [1, 2, 3].")
    return values


def _read_steps(fields: Fields, most: int) -> tuple[int, ...]:
    if not fields.has("steps"):
        return tuple(range(1, most + 1))
    found = fields.get_numbers("steps")
    if any(step != int(step) or not 1 <= step <= most for step in found):
        fields.fail(f"steps must be whole numbers from 1 to fit.steps, which is {most}.")
    return tuple(sorted(map(int, found)))
