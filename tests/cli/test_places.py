"""The command from places that lack something, and under settings of JAX that forbid something."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax import cli, interruptions, jax_setup
from s3net_jax.cli import info
from s3net_jax.config import ConfigError
from s3net_jax.parallel import WORKER
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.processes import HANG
from tests.run.commands import TINY, environment, save_pictures

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3", "--out", "out"]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "S3NET_CACHE",
        "JAX_COMPILATION_CACHE_DIR",
        "JAX_ENABLE_COMPILATION_CACHE",
        "TF_CPP_MIN_LOG_LEVEL",
    ):
        monkeypatch.setenv(name, "")  # undone when the test ends, whatever it does
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def usual_signals():
    """Whatever started the tests (``nohup``, a background job), signals have their usual effect."""
    usual = {
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    variables = {"S3NET_CACHE": "off", **options.pop("variables", {})}
    command = [sys.executable, "-m", "s3net_jax", "segment", "in", "--out", "out", *TINY]
    command = [*options.pop("through", []), *command]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([*command, *words], env=environment(**variables), text=True, **pipes)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_behind_standard_output_and_settings_that_forbid(tmp_path: Path) -> None:
    """All that only forbids ways of writing, at once; the results are there all the same."""
    save_pictures(tmp_path / "in", 1)
    forbidding = {
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_TRANSFER_GUARD": "disallow",
        "JAX_DEBUG_KEY_REUSE": "1",
    }
    with open("/dev/full", "w") as full:
        found = run(variables=forbidding, stdout=full)
    words = "s3net: Standard output can't be written: no space left on device.\n"
    assert (found.returncode, found.stderr) == (1, words)
    assert json.loads(Path("out/run.json").read_text())["done"] == 1


@pytest.mark.skipif(os.name == "nt", reason="handles are closed by a shell")
@pytest.mark.slow
def test_closed_streams_do_not_stop_the_work(tmp_path: Path) -> None:
    save_pictures(tmp_path / "in", 1)

    assert run(through=["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-']).returncode == 0
    assert json.loads(Path("out/run.json").read_text())["done"] == 1
    for path in Path("out").iterdir():
        assert b"preset fast:" not in path.read_bytes(), "what is printed is in no file"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"JAX_PLATFORMS": "nowhere"}, "JAX can't compute with JAX_PLATFORMS=nowhere: Unable to"),
        ({"JAX_ENABLE_X64": "maybe"}, "can't be imported: invalid truth value 'maybe'"),
    ],
)
def test_what_jax_does_not_understand(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    save_pictures(tmp_path / "in", 1)
    found = run(variables=variables)
    assert found.returncode == 2 and words in found.stderr
    assert found.stderr.startswith("s3net: ") and found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("RLIMIT_AS", 300 << 20, "Not enough memory: the address space is limited to 300 MiB"),
        ("RLIMIT_DATA", 200 << 20, "Not enough memory: the data segment is limited to 200 MiB"),
        ("RLIMIT_NOFILE", 12, "The number of open files is limited to 12 (ulimit -n), and JAX"),
    ],
)
def test_limits_that_jax_cannot_start_under(
    monkeypatch: pytest.MonkeyPatch, capsys, name: str, limit: int, words: str
) -> None:
    real = resource.getrlimit
    number = getattr(resource, name)
    monkeypatch.setattr(resource, "getrlimit", lambda n: (limit, limit) if n == number else real(n))
    assert cli.main(["segment", "in", *SMALL]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"s3net: {words}") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 1, "Out of memory."),
        (RuntimeError("can't start new thread"), 1, "Out of memory (can't start new thread)."),
        (OSError(12, "Cannot allocate memory"), 1, "Out of memory ("),
        (FileNotFoundError(2, "No such file", "/x\n"), 1, "/x\\n can't be used: no such file."),
        (ZeroDivisionError("by 0"), 1, "unexpected error (ZeroDivisionError: by 0, in test_places"),
    ],
)
def test_every_error_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys, error: Exception, code: int, words: str
) -> None:
    def fail(args: Any) -> int:
        raise error

    monkeypatch.setattr(info, "run_info", fail)
    assert cli.main(["info"]) == code
    err = capsys.readouterr().err
    assert words in err and err.startswith("s3net: ") and err.count("\n") == 1


def test_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without HOME and passwd
    assert "there is no home folder" in (jax_setup.choose_cache() or "")
    assert not Path("~").exists() and not os.environ["JAX_COMPILATION_CACHE_DIR"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "can't be written" in (jax_setup.choose_cache() or "")
    assert not os.environ["JAX_COMPILATION_CACHE_DIR"]
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file"))
    assert "can't be written (file exists)" in (jax_setup.choose_cache() or "")
    assert os.environ["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def test_a_damaged_program_is_compiled_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import jax
    from jax._src import compilation_cache as cache

    def load(key: str, *_: Any) -> tuple[str, int]:
        if key == "bad":
            raise ValueError("Error -3 while decompressing data")
        return "program", 1

    monkeypatch.setattr(cache, "get_executable_and_time", load)
    for key in ("bad", "good"):
        (tmp_path / f"{key}-cache").touch()
    before = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        with warnings.catch_warnings():
            for _ in range(2):
                jax_setup.mend_cache()
            ends = (cache.get_executable_and_time(key, None, Any, Any) for key in ("bad", "good"))
            found = list(ends)
            warnings.warn("Error writing persistent compilation cache entry", stacklevel=1)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert found == [(None, None), ("program", 1)]
    assert [path.name for path in tmp_path.glob("*-cache")] == ["good-cache"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_signals_end_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path, number: signal.Signals
) -> None:
    over = threading.Event()

    def interrupt(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)
        over.wait(HANG)

    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    install_fit(monkeypatch, interrupt)
    monkeypatch.setenv("S3NET_CACHE", "off")
    save_lesion(tmp_path / "a.png")
    code = cli.main(["segment", "a.png", *SMALL])
    over.set()
    for thread in threading.enumerate():
        if thread.name == WORKER:
            thread.join(HANG)
    assert code == 128 + number and "Interrupted; finished results" in capsys.readouterr().err
    # A program that calls the command outlives Ctrl-C.
    assert ended == ([] if number == signal.SIGINT else [128 + number])


def test_the_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        pass

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(Ended) as second, interruptions.heed_signals(own_process=True):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as first:
            assert interruptions.get_exit_code(first) == 143
            signal.raise_signal(signal.SIGHUP)
    assert second.value.args == (129,)


def test_signals_while_modules_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(os, "write", lambda *_: None)
    reached = []
    with (
        pytest.raises(interruptions.Interrupted),
        interruptions.heed_signals(own_process=False),
        interruptions.defer_signals(),
    ):
        signal.raise_signal(signal.SIGTERM)
        reached.append(True)  # nothing is raised within
    with (
        pytest.raises(interruptions.Interrupted),
        interruptions.heed_signals(own_process=True),
        interruptions.defer_signals(),
    ):
        signal.raise_signal(signal.SIGTERM)
    assert reached and ended == [143]


def test_ignored_signals_stay_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptions.heed_signals(own_process=True):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_seed_names_one_result_whatever_the_generator(picture: np.ndarray) -> None:
    import jax

    from s3net_jax.api import segment
    from s3net_jax.presets import preset

    config = preset("fast").replace(
        input={"size": 16}, fit={"steps": 1}, model={"channels": 4, "deform": "none"}
    )
    usual = segment(picture, config=config)
    with (
        jax.default_prng_impl("rbg"),
        jax.numpy_rank_promotion("raise"),
        jax.transfer_guard("disallow"),
    ):
        other = segment(picture, config=config)
    np.testing.assert_array_equal(usual.labels, other.labels)
    np.testing.assert_array_equal(usual.history["loss"], other.history["loss"])


def test_no_device_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    def fail() -> str:
        raise AssertionError

    monkeypatch.setattr(jax, "default_backend", fail)
    with pytest.raises(ConfigError, match="there is no such device"):
        jax_setup.get_platform()
