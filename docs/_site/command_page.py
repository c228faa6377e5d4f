"""The command reference, written from the argument parser, and the table of presets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
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
    """Return a Markdown table of the fields in which presets differ."""
    from s3net_jax.presets import PRESETS

    presets = {}
    for name, make in PRESETS.items():
        config = make()
        # Stored configurations leave out the section of S3-Net's method, which has only a name.
        presets[name] = dict(_fields({**config.to_dict(), "method": asdict(config.method)}))
    # The settings of a method are its own: the other methods have no value there.
    fields = dict.fromkeys(field for values in presets.values() for field in values)
    lines = [f"| field | {' | '.join(f'`{name}`' for name in presets)} |"]
    lines.append("| --- " * (len(presets) + 1) + "|")
    for field in fields:
        values = [_text(values.get(field, "")) for values in presets.values()]
        if field != "preset" and len(set(values)) > 1:
            lines.append(f"| `{field}` | {' | '.join(values)} |")
    return "\n".join(lines)


def _fields(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _text(value: Any) -> str:
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)
