"""Records for grouping images into volumes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3net_jax.io.dicom.traits import Value

__all__ = ["Group", "Member", "link"]

_NAMED = 8  # largest number of volumes that a note lists
_LONGEST = 40  # largest number of characters of a label in a file name


@dataclass(frozen=True, eq=False)
class Member:
    """Properties of one image that matter for grouping.

    Attributes:
      file: index of its file.
      index: index of the frame within the file.
      identity: key that is equal for all images of a volume.
      position: centre of the first pixel, (3,) in LPS millimetres, or None if unknown.
      axes: unit vectors along a row and along a column, (2, 3) in LPS.
      spacing: distances between rows and between columns in millimetres, (2,), zeros if unknown.
      thickness: distance between slices in millimetres, or None if unknown.
      number: instance number plus index of the frame.
      uid: SOP instance UID, or empty.
      traits: values that may separate it from other images at its position.
    """

    file: int
    index: int
    identity: tuple[Any, ...]
    position: np.ndarray | None
    axes: np.ndarray
    spacing: np.ndarray
    thickness: float | None
    number: int
    uid: str
    traits: dict[str, Value]

    @property
    def order(self) -> tuple[Any, ...]:
        """Key that sorts images independently of the order of their files."""
        return self.number, self.uid, self.index, self.file


@dataclass(eq=False)
class Group:
    """The images of one volume.

    Attributes:
      members: images of the volume.
      labels: values that separate it from other volumes of the series, such as ``("echo 2",)``.
      traits: names of the traits that separate it, such as ``("echo",)``.
      among: labels of all volumes of the series, including this one.
      copies: number of images left out as duplicates.
      spare: number of images left out because they share a position with another image and no
        trait separates them.
    """

    members: list[Member]
    labels: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    copies: int = 0
    spare: int = 0

    def narrow(self, trait: str, label: str) -> Group:
        """Return this group with ``label``, a value of ``trait``, in front of its labels."""
        labels, traits = (label, *self.labels), (trait, *self.traits)
        return Group(self.members, labels, traits, self.among, self.copies, self.spare)

    @property
    def label(self) -> str:
        return ", ".join(self.labels)

    @property
    def slug(self) -> str:
        """Label as part of a file name."""
        text = "-".join(self.labels).replace("b-value ", "b")
        text = re.sub(r"[^A-Za-z0-9.+-]+", "-", text)
        return re.sub(r"(?<=[a-z])-(?=\d)", "", text)[:_LONGEST].strip("-.")

    @property
    def siblings(self) -> str:
        """Labels of all volumes of the series, as a list in a sentence."""
        rest = len(self.among) - _NAMED
        return "; ".join(self.among[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")

    def notes(self, name: str) -> list[str]:
        """Return sentences for the user about other images of the series.

        Args:
          name: name of the series in messages.
        """
        found = []
        if self.labels:
            by = " and ".join(dict.fromkeys(self.traits))
            found.append(
                f"{name} contains {len(self.among)} volumes, separated by {by} ({self.siblings}); "
                f"this one is {self.label}."
            )
        if self.copies:
            found.append(f"{name} has {self.copies} duplicate images; they are left out.")
        if self.spare:
            found.append(
                f"{name} has {self.spare} more images at the same positions and nothing that "
                "distinguishes them; the image with the lowest number at each position is "
                "segmented."
            )
        return found


def link(rows: np.ndarray, near: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Label the connected components of a relation between rows.

    Args:
      rows: vectors, (n, k).
      near: function of one row and several rows that returns which of these are near the one.

    Returns:
      Labels, (n,), from 0 in the order of the rows.
    """
    unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    component = np.full(len(unique), -1)
    for seed in range(len(unique)):
        if component[seed] >= 0:
            continue
        component[seed] = seed
        front = [seed]
        while front:
            one = front.pop()
            reached = np.flatnonzero((component < 0) & near(unique[one], unique))
            component[reached] = seed
            front += reached.tolist()
    labels = component[inverse.ravel()].tolist()
    ranks = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    return np.array([ranks[label] for label in labels])
