"""Test that inputs are found, ordered, listed once, and get unique names."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3net_jax.run import discover
from s3net_jax.run.names import make_names


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    names = ["b/10.png", "b/2.png", "b/1.PNG", "b/.hidden.png", "b/notes.txt", "b/sub/x.png"]
    names += [
        "a/2.png",
        "a/2.jpg",
        "b/2.labels.png",
        "b/2.mask.png",
        "b/2.overlay.png",
        "b/2.steps.png",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(tree: Path, *inputs: str) -> list[tuple[str, str]]:
    sources = discover([tree / text for text in inputs])
    return [(source.path.relative_to(tree).as_posix(), source.stem) for source in sources]


def test_folder_in_natural_order_without_results(tree: Path) -> None:
    assert names(tree, "b") == [("b/1.PNG", "1"), ("b/2.png", "2"), ("b/10.png", "10")]


def test_order_given_is_kept_and_each_is_listed_once(tree: Path) -> None:
    found = names(tree, "b/sub/x.png", "b/10.png", "b", "b/../b/2.png")
    assert [path for path, _ in found] == ["b/sub/x.png", "b/10.png", "b/1.PNG", "b/2.png"]


def test_patterns(tree: Path) -> None:
    assert names(tree, "b/[0-9].png") == [("b/2.png", "2")]
    assert names(tree, "**/x.png") == [("b/sub/x.png", "x")]
    assert discover([tree / "*.gif"])[0].problem == f"{tree}/*.gif matches no file."


def test_a_pattern_matches_folders_too(tree: Path) -> None:
    (tree / "nothing").mkdir()
    assert [path for path, _ in names(tree, "[ab]*")] == [
        "a/2.jpg",
        "a/2.png",
        "b/1.PNG",
        "b/2.png",
        "b/10.png",
    ]
    assert [path for path, _ in names(tree, "b/s*")] == ["b/sub/x.png"]
    assert discover([tree / "noth*"])[0].problem == f"{tree}/noth* matches no file."


def test_what_is_no_file_is_reported(tree: Path) -> None:
    os.mkfifo(tree / "pipe.png")
    (tree / "loop.png").symlink_to(tree / "loop.png")
    (tree / "gone.png").symlink_to(tree / "nowhere.png")
    (tree / "x.png").mkdir()
    found = {source.path.name: source.problem for source in discover([tree])}
    assert found == {"loop.png": None, "gone.png": None}, "links to nothing fail by name"
    (source,) = discover([tree / "pipe.png"])
    assert source.problem is not None and "is a pipe or a device" in source.problem


def test_a_folder_that_can_not_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", deny)
    assert discover([tree / "b"])[0].problem == f"{tree}/b can't be read: permission denied."


@pytest.mark.parametrize("letter", ["x", "é"])
def test_long_names_are_cut_and_stay_different(tmp_path: Path, letter: str) -> None:
    count = 240 // len(letter.encode())
    for end in "ab":
        (tmp_path / f"{letter * count}{end}.png").write_bytes(b"x")
    stems = [source.stem for source in discover([tmp_path])]
    assert len(set(stems)) == 2 and all(191 < len(s.encode()) <= 200 for s in stems)
    assert all(re.fullmatch(rf"{letter}+~[0-9a-f]{{8}}", stem) for stem in stems)
    assert discover([tmp_path / ("y" * 300 + ".png")])[0].stem.startswith("yyy")


def test_a_file_whose_name_looks_like_a_pattern(tree: Path) -> None:
    (tree / "scan[1].png").write_bytes(b"x")
    assert names(tree, "scan[1].png") == [("scan[1].png", "scan[1]")]


def test_equal_stems_are_distinguished(tree: Path) -> None:
    assert names(tree, "a/2.png", "b/2.png") == [("a/2.png", "a-2"), ("b/2.png", "b-2")]
    assert names(tree, "a") == [("a/2.jpg", "2-jpg"), ("a/2.png", "2-png")]
    assert [stem for _, stem in names(tree, "a", "b/2.png")] == ["a-2-jpg", "a-2-png", "b-2-png"]


def test_missing_files_and_empty_folders_are_listed(tree: Path) -> None:
    (tree / "none").mkdir()
    missing, empty = discover([tree / "missing.png", tree / "none"])
    assert missing.path == tree / "missing.png" and missing.problem is None
    assert empty.problem is not None and "holds no PNG" in empty.problem


folder = st.sampled_from(["", "a", "b", "a/b", "b/a", "a-b"])
name = st.sampled_from(["x.png", "x.jpg", "X.png", "a-x.png", "b-x.png", "x-png.png", "x"])


@given(st.lists(st.builds(lambda f, n: Path("/r", f, n), folder, name), unique=True))
def test_stems_are_unique_whatever_the_paths(paths: list[Path]) -> None:
    stems = make_names(paths)
    assert len({stem.casefold() for stem in stems}) == len(paths)
    assert all(stem and "/" not in stem for stem in stems)
