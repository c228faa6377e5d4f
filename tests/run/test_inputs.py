"""Test that inputs are found, ordered, listed once, and get unique names."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3net_jax.errors import InputError
from s3net_jax.run import check_usable, discover
from s3net_jax.run.names import make_names
from tests.volumes import ball, save_dicom


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


def names(tree: Path, *inputs: str, recursive: bool = False) -> list[tuple[str, str]]:
    sources = discover([tree / text for text in inputs], recursive=recursive)
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
    with pytest.raises(InputError, match="b can't be read: permission denied"):
        check_usable([tree / "b"])


def test_sub_folders_become_part_of_the_name(tree: Path) -> None:
    (tree / "b/sub/deep").mkdir()
    (tree / "b/.hidden").mkdir()
    (tree / "b/link").symlink_to(tree / "a")
    for path in ("b/sub/deep/x.png", "b/sub/x.mask.png", "b/.hidden/x.png", "b/sub-x.jpg"):
        (tree / path).write_bytes(b"x")
    flat = [("b/1.PNG", "1"), ("b/2.png", "2"), ("b/10.png", "10")]
    deep = [("b/sub/deep/x.png", "sub-deep-x"), ("b/sub/x.png", "sub-sub-x")]
    assert names(tree, "b", recursive=True) == [*flat, ("b/sub-x.jpg", "b-sub-x"), *deep]
    assert names(tree, "b/s*", recursive=True) == [
        ("b/sub-x.jpg", "sub-x"),
        ("b/sub/deep/x.png", "deep-x"),
        ("b/sub/x.png", "x"),
    ]
    (tree / "b/sub-x.jpg").unlink()
    found = names(tree, "b", "b/sub/x.png", recursive=True)
    assert found == [*flat, ("b/sub/deep/x.png", "sub-deep-x"), ("b/sub/x.png", "sub-x")]
    assert names(tree, "b") == flat


def test_a_series_in_a_sub_folder_is_named_by_its_folders(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    for folder in ("top", "top/ann/ct.2", "top/bob"):
        save_dicom(tmp_path / folder, ball((8, 9, 3))[0])
    sources = discover([tmp_path / "top"], recursive=True)
    found = {source.path.relative_to(tmp_path).as_posix(): source.stem for source in sources}
    assert found == {"top": "top", "top/ann/ct.2": "ann-ct.2", "top/bob": "bob"}


def test_inputs_that_are_all_unusable(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explain(*inputs: str, recursive: bool = False) -> str:
        with pytest.raises(InputError) as caught:
            check_usable([tree / text for text in inputs], recursive)
        return str(caught.value).replace(f"{tree}/", "")

    (tree / "empty/sub").mkdir(parents=True)
    (tree / "loose.png").symlink_to(tree / "nowhere.png")
    assert explain("x.png") == "x.png does not exist."
    assert explain("loose.png") == "loose.png does not exist."
    assert explain("*.gif") == "*.gif matches no file."
    assert "empty holds no PNG" in explain("empty", recursive=True)
    assert explain("x.png", "y.png").splitlines() == [
        "None of the 2 inputs can be used:",
        "  x.png does not exist.",
        "  y.png does not exist.",
    ]
    assert explain(*(f"{n}.png" for n in range(9))).splitlines()[-1] == "  and 4 more"
    (tree / "empty/sub/scan.nii").write_bytes(b"x")
    (tree / "scan.dcm").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    medical = ": pip install 's3net-jax[medical]'."
    assert explain("empty", recursive=True).endswith(f"which requires nibabel{medical}")
    assert explain("scan.dcm") == f"scan.dcm is DICOM, which requires pydicom{medical}"
    for inputs in (["x.png", "a/2.png"], ["x.png", "b"], ["b/*"], ["scan.dcm", "b"]):
        check_usable([tree / text for text in inputs])


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
