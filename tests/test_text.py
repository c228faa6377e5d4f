"""Text that holds anything: shown in one line, written to files, read again."""

from __future__ import annotations

import json
import os

import pytest

from s3net_jax.csv_text import format_csv, parse_csv
from s3net_jax.text import (
    encode,
    escape,
    escape_unseen,
    format_json_line,
    replace_undrawable,
    unescape,
)

LATIN1 = os.fsdecode(b"na\xefve")
NAMES = [
    LATIN1,
    "a\nb",
    "tab\tdot. ",
    "\x1b[31mred",
    "abc\u202egnp.exe",
    "\u2066isolated\u2069",
    "back\\slash\\n",
    "zero\u200bwidth",
    "\U000e0041tag",
    "\u3164",
    "=1+1",
    "'=1+1",
    "''quoted",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    " =1",
    "-out",
    "\uff1d1",
    "q\"'<b>&amp;",
    "a;b,c",
    "",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢 עברית", "plain ü 漢 עברית"),
        (LATIN1, "na\\udcefve"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("\x1b[2J\x9b", "\\x1b[2J\\x9b"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("\ufeff\u00ad\U000e0001", "\\ufeff\\xad\\U000e0001"),
        ("می\u200cخواهم 👩\u200d🚀", "می\u200cخواهم 👩\u200d🚀"),  # joiners belong to words
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert escape_unseen(text) == shown


@pytest.mark.parametrize("name", NAMES)
def test_every_way_out_and_back(name: str) -> None:
    assert unescape(escape(name)) == name
    assert json.loads(encode(json.dumps(name, ensure_ascii=False))) == name
    assert json.loads(format_json_line(name)) == name and format_json_line(name).isascii()
    content = format_csv(["image", "score"], [[name, "-0.5"], ["x", "1e-3"]])
    assert parse_csv(content) == [{"image": name, "score": "-0.5"}, {"image": "x", "score": "1e-3"}]
    assert len(content.decode().splitlines()) == 3, "a cell is in one line"


def test_no_cell_is_a_formula_and_numbers_stay() -> None:
    cells = ["=1", "+1", "-1", "-0.5", "+1e-3", "@a", "-a", "\t=1", "=\x1b", "-inf", "1-2", " =1"]
    text = format_csv(["n"], [[cell] for cell in cells]).decode()
    assert text.splitlines()[1:] == [
        *("'=1", "+1", "-1", "-0.5", "+1e-3", "'@a", "'-a", "\\t=1", "'=\\x1b", "'-inf", "1-2"),
        "' =1",
    ]


@pytest.mark.parametrize("content", [b"a,b\n1\n", b"a\n\xff\n", b'a\n"x\n'])
def test_what_is_no_csv_of_ours(content: bytes) -> None:
    with pytest.raises(ValueError):
        parse_csv(content)


def test_a_file_that_a_spreadsheet_has_saved() -> None:
    assert parse_csv(b"\xef\xbb\xbfa,b\r\n1,2\r\n") == [{"a": "1", "b": "2"}]
    assert parse_csv(b"") == []


def test_pictures_show_ascii() -> None:
    assert replace_undrawable(f"{LATIN1} ü\n\x7f") == "na?ve ???"
