"""Lists of labels: their grammar, and the pixels that they select."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.errors import ConfigError, InputError
from s3net_jax.masks import Pick, apply_pick, parse_choice

LABELS = np.array([[0, 0, 0, 0], [0, 1, 1, 2], [0, 1, 3, 2]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label:2", Pick(((2,),))),
        (" label: 2, 3 ", Pick(((2,), (3,)))),
        ("label:2+3,0", Pick(((2, 3), (0,)))),
        ("label:+4,-5,+6", Pick(added=(4, 6), dropped=(5,))),
        ("dark", "dark"),
        ("point:3,4", "point:3,4"),
    ],
)
def test_what_is_written_is_parsed(text: str, expected: str | Pick) -> None:
    assert parse_choice(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("label", "label:", "label:a", "label:1,", "label:1;2", "label:+1+2", "label:1,-2"),
        *("label:1,1", "label:+1,-1", "label:٣", "lable:1", "point:1", ""),
    ],
)
def test_what_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_choice(text)


def pick(text: str, mask: np.ndarray | None = None, target: tuple[int, ...] = ()):
    choice = parse_choice(text)
    assert isinstance(choice, Pick)
    mask = np.zeros(LABELS.shape, bool) if mask is None else mask
    return apply_pick(choice, LABELS, mask, target, "a.png")


def test_listed_clusters_are_selected() -> None:
    found = pick("label:1,3")
    assert np.array_equal(found.raw, np.isin(LABELS, (1, 3)))
    assert np.array_equal(found.clusters, LABELS) and found.target == (1, 3)


def test_merged_clusters_become_one() -> None:
    found = pick("label:3+2,1")
    assert np.array_equal(found.raw, LABELS > 0)
    assert len(np.unique(found.clusters)) == 3 and len(found.target) == 2
    assert len(np.unique(found.clusters[np.isin(LABELS, (2, 3))])) == 1


def test_changes_start_from_the_present_mask() -> None:
    mask = np.zeros(LABELS.shape, bool)
    mask[1:, :3] = True
    found = pick("label:+2,-1", mask, (1, 3))
    expected = mask | (LABELS == 2)
    expected &= LABELS != 1
    assert np.array_equal(found.raw, expected) and found.target == (2, 3)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (LABELS, "a.png has no cluster 9; its clusters are 0 to 3."),
        (LABELS * 2, "its clusters are 0, 2, 4, 6."),
        (LABELS * 0, "its only cluster is 0."),
        (np.arange(60).reshape(6, 10) * 10, "0, 10, 20"),
    ],
)
def test_labels_that_do_not_exist(labels: np.ndarray, sentence: str) -> None:
    mask = np.zeros(labels.shape, bool)
    with pytest.raises(InputError) as error:
        apply_pick(Pick(((9,),)), labels, mask, (), "a.png")
    assert sentence in str(error.value)


def test_an_empty_target_is_refused() -> None:
    with pytest.raises(InputError, match=r"Nothing is left of the target of a\.png"):
        pick("label:-0", LABELS == 0, (0,))
