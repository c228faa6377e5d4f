"""Commands continue when their output streams fail."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any

import pytest

from s3net_jax.cli.streams import Outlet, guard_streams


class Failing:
    """A stream of bare bones, as a program may put one in the place of ``sys.stdout``."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.text = error, ""

    def write(self, text: str) -> None:
        if self.error is not None:
            raise self.error
        self.text += text


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (None, 0, ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "s3net: Standard output can't be written: no space left on device.\n",
        ),
        (
            ValueError("I/O operation on closed file."),
            1,
            "s3net: Standard output can't be written: i/o operation on closed file.\n",
        ),
    ],
)
def test_the_code_of_a_command_whose_output_is_lost(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, code: int, words: str
) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(error))
    monkeypatch.setattr(sys, "stderr", err := Failing())
    with guard_streams(own_process=False) as streams:
        print("one")
        print("two", flush=True)
        assert streams.choose_code(0) == code
        assert streams.choose_code(2) == 2, "a worse end stays"
    assert err.text == words and isinstance(sys.stdout, Failing)


def test_lost_messages_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := Failing())
    monkeypatch.setattr(sys, "stderr", Failing(OSError(errno.ENOSPC, "full")))
    with guard_streams(own_process=False) as streams:
        print("note", file=sys.stderr)
        print("result")
        assert streams.choose_code(0) == 0
    assert out.text == "result\n"


def test_no_streams_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with guard_streams(own_process=False) as streams:
        print("result", flush=True)
        assert streams.choose_code(0) == 0 and not sys.stdout.isatty()
    assert sys.stdout is None


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_an_alphabet_that_is_too_small(encoding: str) -> None:
    raw = io.BytesIO()
    stream: Any = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    outlet = Outlet(stream)
    print("a × 漢 \udcef", file=outlet, flush=True)
    assert outlet.error is None
    shown = raw.getvalue().decode(encoding)
    assert shown.startswith("a ") and "\\udcef" in shown
    assert ("漢" in shown) == (encoding == "utf-8")
    assert ("×" in shown) == (encoding != "ascii")
