"""The command reference, written from the argument parser, and the tables of presets."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["command_page", "presets_table"]

_WIDTH = 74  # characters a line of usage: what fits beside the navigation on a laptop


def command_page() -> str:
    """Return a Markdown page with every command and option of ``s3net``."""
    from s3net_jax.cli import arguments

    _, commands = arguments._make_parser()
    parts = [
        "# Command reference",
        "This page is generated from the command's argument parser; `s3net COMMAND --help` prints "
        "the same text. [Exit codes](running.md#exit-codes) are common to all commands.",
        "| command | what it does |\n| --- | --- |\n"
        + "\n".join(
            f"| [`{parser.prog}`](#{parser.prog.replace(' ', '-')}) | "
            f"{_cell(parser.description or '')} |"
            for parser in commands.values()
        ),
        *(_section(parser) for parser in commands.values()),
    ]
    return "\n\n".join(parts) + "\n"


def _section(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=_WIDTH)
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    parts = [f"## {parser.prog}", parser.description or "", f"```text\n{usage}\n```"]
    for group in parser._action_groups:
        rows = [
            f"| {_names(action)} | {_cell(_help(parser, action))} |"
            for action in group._group_actions
            if action.help != argparse.SUPPRESS
        ]
        if rows:
            title = (group.title or "").replace("positional ", "")
            kind = "argument" if title == "arguments" else "option"
            head = [f"**{title[:1].upper()}{title[1:]}**", "", f"| {kind} | meaning |"]
            parts.append("\n".join([*head, "| --- | --- |", *rows]))
    if parser.epilog:
        parts.append(f"{parser.epilog[:1].upper()}{parser.epilog[1:]}.")
    return "\n\n".join(part for part in parts if part)


def _names(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return f"`{metavar}`"
    value = "" if action.nargs == 0 else f" {metavar}"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def presets_table() -> str:
    """Return Markdown tables: fields in which S3-Net's presets differ, and those of other methods.

    The table of another method has its own settings, its loss weights, and every other field that
    differs from S3-Net's preset ``paper`` or between its presets.
    """
    from s3net_jax.presets import PRESETS

    methods: dict[str, dict[str, dict[str, Any]]] = {}
    for name, make in PRESETS.items():
        config = make()
        methods.setdefault(config.method.name, {})[name] = config.list_fields()
    plain = methods["s3net"]["paper"]
    parts = [_presets_of_method(methods.pop("s3net"), None)]
    for method, presets in methods.items():
        parts += [f"Fields of the method `{method}`:", _presets_of_method(presets, plain)]
    return "\n\n".join(parts)


def _presets_of_method(presets: dict[str, dict[str, Any]], plain: dict[str, Any] | None) -> str:
    """Return a table of presets of one method, which all have the same fields.

    Args:
      presets: preset → field → value.
      plain: values of S3-Net; None lists only the fields in which the presets differ.
    """
    lines = [f"| field | {' | '.join(f'`{name}`' for name in presets)} |"]
    lines.append("| --- " * (len(presets) + 1) + "|")
    for field in next(iter(presets.values())):
        values = [_text(values[field]) for values in presets.values()]
        differs = len(set(values)) > 1
        if plain is not None and field != "method.name":
            own = field not in plain or field.startswith("loss.")
            differs |= own or values[0] != _text(plain[field])
        if differs:
            lines.append(f"| `{field}` | {' | '.join(values)} |")
    return "\n".join(lines)


def _text(value: Any) -> str:
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)
