"""Results are complete or absent, and hold what they were given."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.io import (
    OutputError,
    make_cluster_colors,
    make_folder,
    remove_leftovers,
    write_bytes,
    write_labels,
    write_mask,
    write_picture,
    write_text,
)
from s3net_jax.io.write import replace_file


@pytest.mark.parametrize(("count", "mode"), [(5, "P"), (256, "P"), (300, "I;16")])
def test_label_map_values_survive(tmp_path: Path, count: int, mode: str) -> None:
    labels = np.random.default_rng(0).integers(0, count, (40, 30)).astype(np.int32)
    labels[0, 0] = count - 1
    write_labels(tmp_path / "a.png", labels)
    with PilImage.open(tmp_path / "a.png") as picture:
        assert picture.mode == mode
        np.testing.assert_array_equal(np.asarray(picture), labels)


def test_mask_is_black_and_white(tmp_path: Path) -> None:
    mask = np.eye(9) > 0
    write_mask(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(np.asarray(PilImage.open(tmp_path / "a.png")), mask * 255)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EACCES, errno.ENOSYS])
def test_mounts_that_refuse_permissions_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("chmod", "fchmod", "lchmod", "chown", "fchown", "utime", "link", "symlink"):
        if hasattr(os, name):
            monkeypatch.setattr(os, name, refuse)
    write_bytes(make_folder(tmp_path / "deep") / "a", b"content")
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "deep").iterdir()] == [("a", b"content")]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.EXDEV])
def test_mounts_that_cannot_rename_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    for content in (b"old and long", b"new"):
        write_bytes(tmp_path / "a", content)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"new")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a", os.fsdecode(b"na\xefve"))
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode
    assert (tmp_path / "a").read_bytes() == b"na\\udcefve"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.png", b"old")

    class Broken:
        def save(self, file, format: str, compress_level: int) -> None:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="no space left on device"):
        write_picture(tmp_path / "a.png", Broken())  # pyright: ignore[reportArgumentType]
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="is not a writable folder"):
            make_folder(place)


def test_colours_differ() -> None:
    colors = make_cluster_colors(64)
    assert colors.shape == (64, 3) and colors.dtype == np.uint8
    assert len(np.unique(colors, axis=0)) == 64
    np.testing.assert_array_equal(make_cluster_colors(3), colors[:3])


def test_leftovers_of_dead_processes_are_removed(tmp_path: Path) -> None:
    with replace_file(tmp_path / "a.png"):
        (mine,) = tmp_path.iterdir()
        dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-99999999-"))
        foreign = tmp_path / ".a.png.tmp"
        for path in (dead, foreign):
            path.touch()
        remove_leftovers(tmp_path)
        assert mine.exists() and foreign.exists() and not dead.exists()
