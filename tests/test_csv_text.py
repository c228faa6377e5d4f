"""Tables that people write, and spreadsheets export."""

from __future__ import annotations

import pytest

from s3net_jax.csv_text import Row, parse_sheet


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_marks_and_line_ends(sign: str, mark: str, end: str) -> None:
    lines = ["B,A ,other", ' x , "y, z",1', ",,", "u"]
    if sign != ",":
        lines[1] = ' x ,"y, z",1'.replace(",", sign).replace(f"y{sign}", "y,")
        lines = [line if n == 1 else line.replace(",", sign) for n, line in enumerate(lines)]
    else:
        lines[1] = ' x ,"y, z",1'
    found = parse_sheet((mark + end.join(lines) + end).encode(), ("a", "b"), ("c",))
    assert found == [
        Row(2, {"a": "y, z", "b": "x", "c": ""}),
        Row(4, {"a": "", "b": "u", "c": ""}),
    ]


def test_lines_are_counted_across_quoted_breaks() -> None:
    found = parse_sheet(b'a\n"x\ny"\nz\n', ("a",))
    assert [(row.line, row.cells["a"]) for row in found] == [(2, "x\ny"), (4, "z")]


def test_the_apostrophe_before_a_formula_is_removed() -> None:
    assert parse_sheet(b"a\n'=x\n'x\n", ("a",))[0].cells == {"a": "=x"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"b\n1\n", "line 1: the column a is missing; found: b"),
        (b"a,A\n1,2\n", "line 1: there are two columns a"),
        (b"a\n1,2\n", "line 2: it has 2 cells"),
        (b'a\n"1\n', "line 2: "),
        (b"a\n\xff\n", "it is not UTF-8 text"),
    ],
)
def test_wrong_tables_name_the_line(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_sheet(content, ("a",))
