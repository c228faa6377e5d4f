"""Images as grouping sees them, and groups of them that form one volume."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3net_jax.io.dicom.traits import Value

__all__ = ["Group", "Member", "link"]

_NAMED = 8  # volumes that a note lists at most
_LONGEST = 40  # characters of a label in a file name


@dataclass(frozen=True, eq=False)
class Member:
    """What grouping needs to know of one image.

    Attributes:
      file: index of its file.
      index: of the frame within the file.
      identity: what must be equal within a volume.
      position: (3,) LPS in millimetres, or None.
      axes: (2, 3) unit vectors.
      spacing: (2,) millimetres, zeros if unknown.
      thickness: millimetres, or None.
      number: of the instance.
      uid: of the instance.
      traits: what may separate it from others at its place.
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
        """Sorts images independently of the order of their files."""
        return self.number, self.uid, self.index, self.file


@dataclass(eq=False)
class Group:
    """The images of one volume.

    Attributes:
      members: its images.
      labels: what separates it from others of the series, e.g. ``("echo 2",)``.
      traits: the names of what does, e.g. ``("echo",)``.
      among: the labels of all volumes of the series, this one included.
      copies: images left out because they are copies of others.
      spare: images left out because others are at their places, and nothing separates them.
    """

    members: list[Member]
    labels: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    copies: int = 0
    spare: int = 0

    def narrow(self, trait: str, label: str) -> Group:
        """This group as a part of the images that ``label`` names."""
        labels, traits = (label, *self.labels), (trait, *self.traits)
        return Group(self.members, labels, traits, self.among, self.copies, self.spare)

    @property
    def label(self) -> str:
        return ", ".join(self.labels)

    @property
    def slug(self) -> str:
        """The label as part of a file name."""
        text = "-".join(self.labels).replace("b-value ", "b")
        text = re.sub(r"[^A-Za-z0-9.+-]+", "-", text)
        return re.sub(r"(?<=[a-z])-(?=\d)", "", text)[:_LONGEST].strip("-.")

    @property
    def siblings(self) -> str:
        """The labels of all volumes of the series, as a list in a sentence."""
        rest = len(self.among) - _NAMED
        return "; ".join(self.among[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")

    def notes(self, name: str) -> list[str]:
        """Sentences on what else is in the series, for a person.

        Args:
          name: what messages call the series.
        """
        found = []
        if self.labels:
            by = " and ".join(dict.fromkeys(self.traits))
            found.append(
                f"{name} holds {len(self.among)} volumes, separated by {by} ({self.siblings}); "
                f"this one is {self.label}."
            )
        if self.copies:
            found.append(f"{name} has {self.copies} images twice; the copies are left out.")
        if self.spare:
            found.append(
                f"{name} has {self.spare} more images at places that others have, and nothing says "
                "what separates them; of each place the one with the lowest number is segmented."
            )
        return found


def link(rows: np.ndarray, near: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Label the connected components of a relation, in the order of the rows.

    Args:
      rows: (n, k) numbers.
      near: takes one row and several, returns whether each of these is near the one.

    Returns:
      (n,) labels from 0.
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
