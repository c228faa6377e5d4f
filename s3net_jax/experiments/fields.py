"""Read tables of an experiment file key by key; every error names its position."""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, get_reason, suggest_nearest
from s3net_jax.io import parse_window, read_regular
from s3net_jax.masks import check_target

__all__ = [
    "Fields",
    "check_folder_name",
    "check_seeds",
    "check_targets",
    "check_unique",
    "load_fields",
]

_LARGEST = 1 << 20  # maximum file size in bytes; those in experiments/ are below 4 kB
_LONGEST = 200  # maximum bytes of a folder name; file systems allow 255
_SHOWN = 60  # maximum characters of a wrong value in an error message
_WORDS = {str: "text in quotes", int: "a whole number", float: "a number", dict: "a table"}


def load_fields(path: Path) -> Fields:
    """Read a TOML file as one table; raise :class:`ConfigError` if it is unreadable or invalid."""
    try:
        text = read_regular(path, follow=True)
        content = tomllib.loads(text.decode("utf-8")) if len(text) <= _LARGEST else None
    except OSError as error:
        raise ConfigError(f"The experiment {path} can't be read: {get_reason(error)}.") from None
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: it is nested too deeply.") from None
    except ValueError as error:  # invalid TOML or UTF-8, or a number with thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    if content is None:
        raise ConfigError(f"{path} is larger than 1 MB: it is not an experiment file.")
    return Fields(content, str(path))


class Fields:
    """One table. Keys that are never read are unknown keys; see :meth:`finish`."""

    def __init__(self, content: dict[str, Any], file: str, trail: tuple[str, ...] = ()) -> None:
        """Wrap a parsed table.

        Args:
          content: keys and values of the table.
          file: path of the file, for error messages.
          trail: names that lead from the root table to this one.
        """
        self.file = file
        self.place = f"{file}, {_join_trail(trail)}" if trail else file
        self._trail = trail
        self._content = content
        self._asked: list[str] = []

    def fail(self, what: str) -> NoReturn:
        """Raise :class:`ConfigError` with the position of this table and ``what`` is wrong."""
        raise ConfigError(f"{self.place}: {what}")

    def has(self, key: str) -> bool:
        return key in self._content

    def get_text(self, key: str, default: str | None = None) -> str:
        """Read text that must not be empty."""
        value = self._get(key, str, default)
        if not value.strip():
            self.fail(f"{key} is empty: write {_WORDS[str]}.")
        return value

    def get_count(self, key: str, default: int | None = None, low: int = 1) -> int:
        """Read a whole number from ``low`` to 2³² − 1."""
        value = self._get(key, int, default)
        if not low <= value < 2**32:
            self.fail(f"{key} is {_shorten(value)}: it must be a whole number of at least {low}.")
        return value

    def get_names(self) -> list[str]:
        """Return the keys of a table whose keys are arbitrary names."""
        return list(self._content)

    def get_number(self, key: str) -> float:
        """Read a finite number."""
        value = self._get(key, float, None)
        if not _is_finite(value):
            self.fail(f"{key} is {_shorten(value)}: it must be a finite number.")
        return float(value)

    def get_numbers(self, key: str) -> tuple[float, ...]:
        """Read a list of distinct finite numbers, or a single number."""
        value: Any = self._content.get(key)
        values: list[Any] = value if isinstance(value, list) else [value]
        wrong = any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values)
        self._asked.append(key)
        if not values or wrong or not all(map(_is_finite, values)):
            self.fail(f"{key} is {_shorten(value)}: write a list of numbers, such as [0, 0.3, 1].")
        if len(set(values)) < len(values):
            self.fail(f"{key} is {_shorten(value)}: it contains a value twice.")
        return tuple(map(float, values))

    def get_table(self, key: str) -> Fields:
        """Read a table; empty if it is missing."""
        return Fields(self._get(key, dict, {}), self.file, (*self._trail, key))

    def get_tables(self, key: str) -> list[Fields]:
        """Read a list of at least one table, ``[[key]]``."""
        self._asked.append(key)
        found = self._content.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.fail(f"{key} must be a list of tables: start each with [[{key}]].")
        if not found:
            self.fail(f"there is no [[{key}]]: add at least one.{self.suggest(key)}")
        return [
            Fields(item, self.file, (f"[[{key}]] number {n + 1}",)) for n, item in enumerate(found)
        ]

    def apply(self, key: str, config: Config) -> Config:
        """Return ``config`` with the fields set in the table ``key``."""
        changes = self._get(key, dict, {})
        if "preset" in changes:
            self.fail(f"{key} can't change the preset: write preset = ... outside of it.")
        try:
            return check_targets(config.replace(**changes))
        except ConfigError as error:
            self.fail(f"{key}: {error}")

    def suggest(self, key: str) -> str:
        """Suggest which present key may be a misspelling of the missing ``key``; empty if none."""
        others = [name for name in self._content if name not in self._asked]
        close = difflib.get_close_matches(key, others, 1)
        return f" Is {close[0]!r} a misspelling?" if close else ""

    def finish(self) -> None:
        """Raise :class:`ConfigError` for the first key that was never read."""
        for key in self._content:
            if key not in self._asked:
                self.fail(f"there is no key {key!r} here.{suggest_nearest(key, list(self._asked))}")

    def _get(self, key: str, kind: type, default: Any) -> Any:
        self._asked.append(key)
        if key not in self._content:
            if default is None:
                self.fail(f"{key} is missing: add {key} = {_WORDS[kind]}.{self.suggest(key)}")
            return default
        value = self._content[key]
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or isinstance(value, bool):
            self.fail(f"{key} is {_shorten(value)}: write {_WORDS[kind]}.")
        return value


def check_targets(config: Config) -> Config:
    """Return ``config``; raise :class:`ConfigError` if its target or window is invalid."""
    check_target(config.segment.target)
    parse_window(config.input.window)
    return config


def check_seeds(fields: Fields, first: int, count: int) -> None:
    """Raise :class:`ConfigError` if the last of ``count`` seeds exceeds 32 bits."""
    if first + count > 2**32:
        fields.fail(f"the last of {count} seeds starting at {first} is above {2**32 - 1}.")


def _is_finite(value: float) -> bool:
    return abs(value) < 2**1023 if isinstance(value, int) else math.isfinite(value)


def _shorten(value: object) -> str:
    """Shorten a value for an error message; a number may have thousands of digits."""
    try:
        text = repr(value)
    except ValueError:  # Python prints at most 4300 digits
        text = "a number with thousands of digits"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _join_trail(trail: tuple[str, ...]) -> str:
    first, *rest = trail
    if first.startswith("[["):
        return ", ".join([first, ".".join(rest)]) if rest else first
    return f"[{'.'.join(trail)}]"


def check_folder_name(name: str, place: Fields) -> None:
    """Raise :class:`ConfigError` if ``name`` is too long for a folder name."""
    if len(os.fsencode(name)) > _LONGEST:
        place.fail(
            f"the name {_shorten(name)} has more than {_LONGEST} bytes: shorten it, because a "
            "folder is named after it."
        )


def check_unique(names: Sequence[str], place: Fields, what: str) -> None:
    """Raise :class:`ConfigError` if two of ``names`` are equal."""
    for name in names:
        if names.count(name) > 1:
            place.fail(f"two {what} are called {name!r}: give each a different name.")
