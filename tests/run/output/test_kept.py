"""A volume whose run was killed resumes with the next slice, and ends like an undisturbed run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.cli.display import QuietDisplay
from s3net_jax.config import Config
from s3net_jax.errors import OutputError
from s3net_jax.presets import preset
from s3net_jax.run.output.kept import UNFINISHED, KeptFits
from tests.ending import ending_command
from tests.fakes import fit_brightness, install_fit
from tests.pictures import save_lesion
from tests.processes import HANG
from tests.run.commands import TINY, environment
from tests.run.small import CONFIG, interrupt_at, run
from tests.volumes import ball

KILLS = int(os.environ.get("S3NET_TEST_KILLS", "1"))
SLICES = 6
FILM = CONFIG.replace(fit={"record_labels": True})
BEST = preset("best").replace(input={"size": 32}, fit={"steps": 2, "members": 2})


class Told(QuietDisplay):
    """Remember what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def say(self, text: str) -> None:
        self.notes.append(text)


def save_stack(folder: Path) -> Path:
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    values = np.moveaxis(ball((20, 24, SLICES))[0], 2, 0)
    tifffile.imwrite(folder / "scan.tif", values, metadata={"axes": "ZYX"})
    return folder / "scan.tif"


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def fit(*args: Any, **more: Any) -> Any:
        calls.append(1)
        return fit_brightness(*args, **more)

    install_fit(monkeypatch, fit)
    return calls


def read_results(out: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    return {n: c for n, c in found.items() if not n.startswith(("run", "results", "report"))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of a run of the stack that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        install_fit(patch)
        run(folder, save_stack(folder))
    return read_results(folder / "out")


def list_kept(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob(f"{UNFINISHED}/*/*"))


def interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int, **more: Any) -> Path:
    """Run until before fit ``fits`` + 1; returns the input."""
    install_fit(monkeypatch, interrupt_at(fits + 1))
    path = save_stack(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, path, **more)
    return path


@pytest.mark.parametrize(
    ("config", "more", "fits"),
    [
        (CONFIG, {}, 1),
        (CONFIG, {"seeds": 2}, 2),
        (FILM, {"seeds": 2}, 2),
        (BEST, {}, 2),
        (CONFIG.replace(input={"slices": "2:5"}), {}, 1),
    ],
    ids=["clusters", "seeds", "film", "proposals", "slices"],
)
def test_finished_slices_are_not_fitted_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: Config,
    more: dict[str, Any],
    fits: int,
) -> None:
    """``fits``: fits of a slice, over seeds and members."""
    calls = count_fits(monkeypatch)
    run(tmp_path / "whole", save_stack(tmp_path / "whole"), config=config, **more)
    total = len(calls)
    path = interrupt(tmp_path, monkeypatch, 3 * fits, config=config, **more)
    kept = len(list_kept(tmp_path / "out"))
    assert kept == 3 * more.get("seeds", 1)
    calls = count_fits(monkeypatch)
    told = Told()
    run(tmp_path, path, config=config, listener=told, **more)
    assert len(calls) == total - 3 * fits
    assert read_results(tmp_path / "out") == read_results(tmp_path / "whole/out")
    assert not (tmp_path / "out" / UNFINISHED).exists()
    wanted = total // fits * more.get("seeds", 1)
    expected = f"{path}: {kept} of {wanted} fits are kept from an interrupted run."
    assert told.notes[0] == expected


def test_tiles_are_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.replace(input={"tile": 32})
    calls = count_fits(monkeypatch)
    for name in ("whole", "."):
        save_lesion(tmp_path / name / "a.png")
    run(tmp_path / "whole", tmp_path / "whole/a.png", config=config)
    total = len(calls)
    install_fit(monkeypatch, interrupt_at(3))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, tmp_path / "a.png", config=config)
    assert list_kept(tmp_path / "out") == ["0-0.fit", "1-0.fit"]
    calls = count_fits(monkeypatch)
    run(tmp_path, tmp_path / "a.png", config=config)
    assert len(calls) == total - 2
    assert read_results(tmp_path / "out") == read_results(tmp_path / "whole/out")


def test_a_run_that_ended_before_it_wrote_needs_no_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_stack(tmp_path)
    count_fits(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("s3net_jax.run.output.writer.write_files", _raise)
        assert run(tmp_path, path).failed == 1
    assert len(list_kept(tmp_path / "out")) == SLICES
    calls = count_fits(monkeypatch)
    assert run(tmp_path, path).done == 1 and not calls


def _raise(*_: Any, **__: Any) -> Any:
    raise OutputError("No space left on device.")


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        corrupt,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(os.urandom(200)),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path.with_name("2-0.fit"))),
        lambda path: shutil.copyfile(path.with_name("2-0.fit"), path),
    ],
    ids=["bit", "short", "empty", "random", "folder", "link", "another"],
)
def test_damaged_files_are_ignored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], Any],
    undisturbed: dict[str, bytes],
) -> None:
    path = interrupt(tmp_path, monkeypatch, 3)
    damage(tmp_path / "out" / UNFINISHED / "scan/1-0.fit")
    calls = count_fits(monkeypatch)
    assert run(tmp_path, path).done == 1
    assert len(calls) == SLICES - 2
    assert read_results(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("change", ["config", "seed", "content", "version", "overwrite"])
def test_fits_of_another_run_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = interrupt(tmp_path, monkeypatch, 3)
    more: dict[str, Any] = {}
    if change == "config":
        more["config"] = CONFIG.replace(fit={"steps": 4})
    elif change == "content":
        import tifffile

        tifffile.imwrite(path, tifffile.imread(path) + np.int16(1), metadata={"axes": "ZYX"})
    elif change == "version":
        monkeypatch.setattr("s3net_jax.run.output.kept.get_package_version", lambda: "99")
    else:
        more[change] = True
    calls = count_fits(monkeypatch)
    assert run(tmp_path, path, **more).done == 1
    assert len(calls) == SLICES
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_a_folder_that_takes_no_fits_costs_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeptFits, "put", _raise)
    install_fit(monkeypatch)
    told = Told()
    assert run(tmp_path, save_stack(tmp_path), listener=told).done == 1
    found = [note for note in told.notes if "not kept any more" in note]
    assert found == ["Finished slices and tiles are not kept any more. No space left on device."]


def test_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = interrupt(tmp_path, monkeypatch, 3)
    kept = tmp_path / "out" / UNFINISHED
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    install_fit(monkeypatch)
    assert run(tmp_path, path).done == 1
    assert len(list((tmp_path / "elsewhere/scan").iterdir())) == 3


def start(folder: Path, *arguments: str, lines: int, operations: int) -> subprocess.Popen[str]:
    """Run the command until it kills itself at a moment; see :func:`ending_command`."""
    words = ["segment", "scan.tif", "--out", "out", *TINY, "--no-report", *arguments]
    moment = {"lines": lines, "operations": operations}
    return subprocess.Popen(
        ending_command(signal.SIGKILL, *words, **moment),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        pytest.param(("--seeds", "2"), marks=pytest.mark.slow),
        pytest.param(("--engine", "processes", "--workers", "2"), marks=pytest.mark.slow),
    ],
    ids=["local", "seeds", "processes"],
)
def test_kills_at_a_random_slice(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    for name in ("whole", "killed"):
        save_stack(tmp_path / name)
    moments = random.Random(len(arguments))
    for n in range(KILLS):
        # The first kill leaves at least a slice; later ones may come at the same one or a later.
        kept = len(list_kept(tmp_path / "killed/out"))
        slices, operations = moments.randrange(max(1, kept), SLICES), moments.randrange(1, 3)
        process = start(tmp_path / "killed", *arguments, lines=slices, operations=operations)
        process.communicate(timeout=HANG)
        assert process.returncode == -signal.SIGKILL
        assert len(list_kept(tmp_path / "killed/out")) >= slices, f"after kill {n + 1}"
    for name in ("whole", "killed"):
        process = start(tmp_path / name, *arguments, lines=10**9, operations=1)
        out, err = process.communicate(timeout=HANG)
        assert process.returncode == 0, out + err
        assert ("kept from an interrupted run" in err) == (name == "killed")
    assert read_results(tmp_path / "killed/out") == read_results(tmp_path / "whole/out")
    assert not (tmp_path / "killed/out" / UNFINISHED).exists()
