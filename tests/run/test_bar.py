"""Test progress in Python: where a bar is drawn, what it counts, and that it costs no program."""

from __future__ import annotations

import io
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.run.bar import open_listener
from tests.fakes import install_fit

CONFIG = s3.preset("fast").replace(
    input={"size": 24}, model={"channels": 4}, fit={"steps": 9, "members": 2}
)
IMAGE = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
VOLUME = np.random.default_rng(0).integers(0, 255, (2, 20, 24), np.uint8)
segment: Callable[..., Any] = s3.segment
CALLS: dict[str, Callable[..., Any]] = {
    "segment": lambda **more: segment(IMAGE, config=CONFIG, **more),
    "segment_batch": lambda **more: s3.segment_batch([IMAGE, IMAGE], config=CONFIG, **more),
    "segment_volume": lambda **more: s3.segment_volume(VOLUME, config=CONFIG, **more),
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of stderr until the test ends.

    A fixture would be too early: pytest captures stderr again when the test itself begins.
    """
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("S3NET_QUIET", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return stream


@pytest.mark.parametrize("name", CALLS)
def test_a_terminal_shows_a_bar_and_is_left_clean(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = open_terminal(monkeypatch)
    install_fit(monkeypatch)
    CALLS[name]()
    assert "masks" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[1A\x1b[2K"), "the bar is erased"


@pytest.mark.parametrize("name", CALLS)
def test_false_shows_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    install_fit(monkeypatch)
    CALLS[name](progress=False)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("name", CALLS)
def test_other_values_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match="progress is 'yes': give True, False, None, or a function"):
        CALLS[name](progress="yes")


def test_no_bar_is_drawn_unasked_where_it_would_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    install_fit(monkeypatch)
    thread = threading.Thread(target=CALLS["segment"])
    thread.start()
    thread.join()
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    CALLS["segment"]()
    monkeypatch.undo()
    install_fit(monkeypatch)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("S3NET_QUIET", "1")
    CALLS["segment"]()
    assert terminal.getvalue() == ""
    CALLS["segment"](progress=True)
    assert terminal.getvalue() != "", "True asks for it"


@pytest.mark.parametrize("progress", [None, True])
def test_nothing_is_drawn_where_it_cannot_be_redrawn(
    progress: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = open_terminal(monkeypatch)
    install_fit(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    CALLS["segment"](progress=progress)
    assert terminal.getvalue() == ""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", plain := io.StringIO())
    CALLS["segment"](progress=progress)
    assert plain.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    CALLS["segment"](progress=progress)


def test_a_function_gets_the_reports_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    install_fit(monkeypatch)
    for name, call in CALLS.items():
        seen: list[int] = []
        call(progress=lambda step, record, seen=seen: seen.append(step))
        assert seen == [*range(1, 10)] * (2 if name == "segment" else 4)
    assert terminal.getvalue() == ""


def test_steps_add_up_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)
    seen: list[tuple[int, str]] = []
    record = {"labels": 3, "loss": 0.25, "running": 2}

    class View:
        def __enter__(self) -> Any:
            return lambda done, state: seen.append((done, state))

        def __exit__(self, *_: Any) -> None:
            pass

    monkeypatch.setattr("s3net_jax.run.bar._open_bar", lambda total: View())
    with open_listener(None, 5, 8) as listen:
        assert listen is not None
        listen(4, {**record, "fits": 2})
        listen(8, {**record, "fits": 2})
        listen(4, {**record, "fits": 2, "running": 0})  # an early stop
        listen(4, {**record, "fits": 1})
        listen(8, {**record, "fits": 1})
        listen(8, {**record, "fits": 1})  # a fit done again
    assert [done for done, _ in seen] == [0, 8, 16, 32, 36, 40, 40]
    assert seen[0][1] == "compiling" and seen[-1][1] == "masks"
    assert seen[1][1] == "fit 2 of 5, step 4/8, 3 labels, loss 0.250"
    with open_listener(None, 0, 8) as listen:
        assert listen is None, "there is nothing to fit"


@pytest.mark.slow
def test_a_bar_adds_no_program_and_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar reports the same chunks of steps that a fit runs without it."""
    terminal = open_terminal(monkeypatch)
    compiled: list[str] = []

    def listen(event: str, *_: Any, **__: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    quiet = segment(IMAGE, config=CONFIG, progress=False)
    assert terminal.getvalue() == ""
    programs: Any = sys.modules["s3net_jax.fitting.sharding"].advance_fits
    before = programs._cache_size()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        shown = segment(IMAGE, config=CONFIG, progress=True)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert "masks" in terminal.getvalue()
    assert compiled == [] and programs._cache_size() == before
    np.testing.assert_array_equal(shown.labels, quiet.labels)
    for name, values in quiet.history.items():
        np.testing.assert_array_equal(shown.history[name], values)


def test_a_notebook_shows_one_line_a_cell_and_empties_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    install_fit(monkeypatch)
    monkeypatch.setattr("s3net_jax.run.bar._line", None)
    shell = types.SimpleNamespace(kernel=object(), execution_count=1)
    lines: list[list[str]] = []

    class Handle:
        def __init__(self) -> None:
            self.texts: list[str] = []
            lines.append(self.texts)

        def update(self, data: dict[str, str], raw: bool) -> None:
            assert raw
            self.texts.append(data["text/plain"])

    ipython: Any = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    shown: Any = types.ModuleType("IPython.display")
    shown.display = lambda data, raw, display_id: Handle()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    CALLS["segment"]()
    CALLS["segment_batch"]()
    assert len(lines) == 1 and lines[0][0] == "  0 %, compiling, 0 s" and lines[0][-1] == ""
    assert any(text.startswith("100 %, masks") for text in lines[0])
    shell.execution_count = 2
    CALLS["segment_volume"]()
    assert len(lines) == 2 and lines[1][-1] == ""
    shell.kernel = None  # IPython in a terminal
    CALLS["segment"]()
    assert len(lines) == 2 and "masks" in terminal.getvalue()


CELL = """
import numpy as np
import s3net_jax as s3
config = s3.preset("fast").replace(input={"size": 16}, model={"channels": 4}, fit={"steps": 2})
image = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
for _ in range(2):
    result = s3.segment(image, config=config)
"""


@pytest.mark.slow
def test_a_real_notebook_keeps_neither_widgets_nor_warnings() -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    client.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data" and dict(output.data) == {"text/plain": ""}
    assert "widgets" not in notebook.metadata
