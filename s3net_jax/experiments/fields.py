"""Tables of an experiment file, read key by key; every mistake is told with its place."""

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

_LARGEST = 1 << 20  # bytes; the largest of experiments/ has 4 kB, and parsing is slow
_LONGEST = 200  # bytes of a folder's name; file systems take 255
_SHOWN = 60  # characters of a wrong value that a sentence shows
_WORDS = {str: "text in quotes", int: "a whole number", float: "a number", dict: "a table"}


def load_fields(path: Path) -> Fields:
    """Read the whole file as one table; raise :class:`ConfigError` if it can't be read as TOML."""
    try:
        text = read_regular(path, follow=True)
        content = tomllib.loads(text.decode("utf-8")) if len(text) <= _LARGEST else None
    except OSError as error:
        raise ConfigError(f"The experiment {path} can't be read: {get_reason(error)}.") from None
    except RecursionError:
        raise ConfigError(f"{path} is not written in TOML: it is nested too deeply.") from None
    except ValueError as error:  # of TOML, UTF-8, and numbers with thousands of digits
        raise ConfigError(f"{path} is not written in TOML: {error}.") from None
    if content is None:
        raise ConfigError(f"{path} is larger than a megabyte: it is no experiment file.")
    return Fields(content, str(path))


class Fields:
    """One table. What was not asked for is an unknown key, see :meth:`finish`."""

    def __init__(self, content: dict[str, Any], file: str, trail: tuple[str, ...] = ()) -> None:
        """``trail``: the names that lead to this table from the file's own."""
        self.file = file
        self.place = f"{file}, {_join_trail(trail)}" if trail else file
        self._trail = trail
        self._content = content
        self._asked: list[str] = []

    def fail(self, what: str) -> NoReturn:
        """Raises :class:`ConfigError`: where, and ``what`` is wrong there."""
        raise ConfigError(f"{self.place}: {what}")

    def has(self, key: str) -> bool:
        return key in self._content

    def get_text(self, key: str, default: str | None = None) -> str:
        """Text that is not empty."""
        value = self._get(key, str, default)
        if not value.strip():
            self.fail(f"{key} is empty: write {_WORDS[str]}.")
        return value

    def get_count(self, key: str, default: int | None = None, low: int = 1) -> int:
        """A whole number of at least ``low``."""
        value = self._get(key, int, default)
        if not low <= value < 2**32:
            self.fail(f"{key} is {_shorten(value)}: it must be a whole number of at least {low}.")
        return value

    def get_names(self) -> list[str]:
        """The keys, of a table whose keys are free."""
        return list(self._content)

    def get_number(self, key: str) -> float:
        """A finite number."""
        value = self._get(key, float, None)
        if not _is_finite(value):
            self.fail(f"{key} is {_shorten(value)}: it must be a finite number.")
        return float(value)

    def get_numbers(self, key: str) -> tuple[float, ...]:
        """A list of different finite numbers, or one alone."""
        value: Any = self._content.get(key)
        values: list[Any] = value if isinstance(value, list) else [value]
        wrong = any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values)
        self._asked.append(key)
        if not values or wrong or not all(map(_is_finite, values)):
            self.fail(f"{key} is {_shorten(value)}: write a list of numbers, as [0, 0.3, 1].")
        if len(set(values)) < len(values):
            self.fail(f"{key} is {_shorten(value)}: it names a value twice.")
        return tuple(map(float, values))

    def get_table(self, key: str) -> Fields:
        """A table; an empty one if it is not there."""
        return Fields(self._get(key, dict, {}), self.file, (*self._trail, key))

    def get_tables(self, key: str) -> list[Fields]:
        """A list of at least one table, ``[[key]]``."""
        self._asked.append(key)
        found = self._content.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.fail(f"{key} must be a list of tables: begin each with [[{key}]].")
        if not found:
            self.fail(f"there is no [[{key}]]: it needs at least one.{self.suggest(key)}")
        return [
            Fields(item, self.file, (f"[[{key}]] number {n + 1}",)) for n, item in enumerate(found)
        ]

    def apply(self, key: str, config: Config) -> Config:
        """``config`` with the fields that the table ``key`` sets."""
        changes = self._get(key, dict, {})
        if "preset" in changes:
            self.fail(f"{key} can't change the preset: write preset = ... beside it.")
        try:
            return check_targets(config.replace(**changes))
        except ConfigError as error:
            self.fail(f"{key}: {error}")

    def suggest(self, key: str) -> str:
        """Of a key that is missing: which one may be it, misspelt; or nothing."""
        others = [name for name in self._content if name not in self._asked]
        close = difflib.get_close_matches(key, others, 1)
        return f" Was {close[0]!r} meant to be it?" if close else ""

    def finish(self) -> None:
        """Raises :class:`ConfigError` for the first key that nothing asked for."""
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
    """Return ``config``; raise :class:`ConfigError` for a target or window a run would refuse."""
    check_target(config.segment.target)
    parse_window(config.input.window)
    return config


def check_seeds(fields: Fields, first: int, count: int) -> None:
    """Raises :class:`ConfigError` if the last of ``count`` seeds is none."""
    if first + count > 2**32:
        fields.fail(f"the last of {count} seeds from {first} on is above {2**32 - 1}.")


def _is_finite(value: float) -> bool:
    return abs(value) < 2**1023 if isinstance(value, int) else math.isfinite(value)


def _shorten(value: object) -> str:
    """A value as a sentence can show it; a number may have thousands of digits."""
    try:
        text = repr(value)
    except ValueError:  # Python shows no more than 4300 digits
        text = "a number with thousands of digits"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _join_trail(trail: tuple[str, ...]) -> str:
    first, *rest = trail
    if first.startswith("[["):
        return ", ".join([first, ".".join(rest)]) if rest else first
    return f"[{'.'.join(trail)}]"


def check_folder_name(name: str, place: Fields) -> None:
    """Raise :class:`ConfigError` if ``name`` is too long for the folder that it names."""
    if len(os.fsencode(name)) > _LONGEST:
        place.fail(
            f"the name {_shorten(name)} has more than {_LONGEST} bytes: folders are named after "
            "it, so shorten it."
        )


def check_unique(names: Sequence[str], place: Fields, what: str) -> None:
    """Raises :class:`ConfigError` if two of ``names`` are equal."""
    for name in names:
        if names.count(name) > 1:
            place.fail(f"two {what} are called {name!r}: give each a name of its own.")
