"""Split images at the same positions into volumes: by echo, b-value, phase, time or order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from s3net_jax.io.dicom.group import Group, Member, link
from s3net_jax.io.dicom.traits import TRAITS, Trait, Value

__all__ = ["split_places"]

_SAME = 1e-3
"""Smallest distance in millimetres between different positions. For thick slices it is a hundredth
of the thickness, because the steps of an examination round positions differently."""


def split_places(members: list[Member]) -> list[Group]:
    """Split images of one series and geometry into volumes with one image at each position.

    If positions repeat, the images are separated by the first trait whose values differ there,
    then by the next, until no position repeats. A contrast (echo, b-value, kernel) also separates
    images at different positions.

    Args:
      members: images, in an order independent of the order of the files.

    Returns:
      The volumes, ordered by the values that separate them.
    """
    unique: dict[Any, Member] = {}
    for member in members:
        where = None if member.position is None else tuple(member.position)
        unique.setdefault((member.uid or id(member), member.index, member.number, where), member)
    groups = _split(list(unique.values()))
    groups[0].copies = len(members) - len(unique)
    return groups


def _split(members: list[Member]) -> list[Group]:
    places = _number_places(members)
    counts = np.bincount(places)
    most, repeats = int(counts.max()), len(members) - len(counts)
    for trait in TRAITS:
        parts = _partition(members, trait)
        if len(parts) < 2:
            continue
        # A trait with more values than images at any position also changes along the volume, so
        # it does not resolve repeated positions.
        taken = sum(len({int(places[n]) for n in part}) for _, part in parts)
        resolves = len(parts) <= most and len(members) - taken < repeats
        complete = all(trait.name in member.traits for member in members)
        mixed = trait.contrast and complete and min(len(part) for _, part in parts) > 1
        if resolves or mixed:
            return [
                group.narrow(trait.name, label)
                for label, part in parts
                for group in _split([members[n] for n in part])
            ]
    return _split_in_order(members, places, counts) if repeats else [Group(members)]


def _split_in_order(members: list[Member], places: np.ndarray, counts: np.ndarray) -> list[Group]:
    """Split by the order of images at the same position, or keep only the first ones.

    The n-th volume has the n-th image at every position, by the first trait that orders all
    images. If images are missing at some positions, counting would mix volumes; then a new volume
    starts where a position repeats in the order of the images.
    """
    most = int(counts.max())
    if counts.min() == most:
        for trait in (trait for trait in TRAITS if trait.ordered):
            volumes = _rank(members, places, trait, most)
            if volumes:
                return [_number_group(trait, n, volume) for n, volume in enumerate(volumes)]
    passes: list[dict[int, Member]] = [{}]
    for member, place in zip(members, places.tolist(), strict=True):
        if place in passes[-1]:
            passes.append({})
        passes[-1][place] = member
    distinct = len({member.number for member in members}) == len(members)
    if distinct and len(passes) == most:
        return [_number_group(TRAITS[-1], n, list(one.values())) for n, one in enumerate(passes)]
    first: dict[int, Member] = {}
    for member, place in zip(members, places.tolist(), strict=True):
        first.setdefault(place, member)
    return [Group(list(first.values()), spare=len(members) - len(first))]


def _rank(members: list[Member], places: np.ndarray, trait: Trait, most: int) -> list[list[Member]]:
    """Return the n-th images of all positions for every n; empty if ``trait`` does not order them.

    ``most`` is the number of images at each position.
    """
    values = [member.traits.get(trait.name) for member in members]
    if not all(isinstance(value, float) for value in values):
        return []
    ranked = sorted(zip(places.tolist(), values, range(len(members)), strict=True))
    if any(a[:2] == b[:2] for a, b in pairwise(ranked)):
        return []
    return [[members[n] for _, _, n in ranked[k::most]] for k in range(most)]


def _number_group(trait: Trait, number: int, members: list[Member]) -> Group:
    members = sorted(members, key=lambda member: member.order)
    return Group(members, (f"{trait.name} {number + 1}",), (trait.name,))


def _number_places(members: list[Member]) -> np.ndarray:
    """Number the positions of images along the normal from 0 without gaps; return (n,) integers."""
    if any(member.position is None for member in members):
        slices = [member.traits.get("slice") for member in members]
        if any(value is None for value in slices):
            return np.arange(len(members))  # unknown positions count as different
        return np.unique(np.array(slices), return_inverse=True)[1].ravel()
    normal = np.cross(*members[0].axes)
    along = np.array([member.position @ normal for member in members])  # pyright: ignore[reportOptionalOperand]
    thickness = min((member.thickness for member in members if member.thickness), default=0.0)
    order = np.argsort(along, kind="stable")
    places = np.empty(len(members), int)
    apart = np.diff(along[order]) > max(_SAME, 0.01 * thickness)
    places[order] = np.concatenate([[0], np.cumsum(apart)])
    return places


def _partition(members: list[Member], trait: Trait) -> list[tuple[str, list[int]]]:
    """Group image indices by their values of a trait; return (label, indices) ordered by value."""
    values = [member.traits.get(trait.name) for member in members]
    known = [value for value in values if value is not None]
    if not known:
        return []
    rows = _parse_numeric(known)
    if rows is None:
        ranks = {value: n for n, value in enumerate(sorted(set(known), key=repr))}
        found = iter([ranks[value] for value in known])
    else:
        found = iter(_cluster(rows, trait).tolist())
    parts: dict[int, list[int]] = {}
    for n, value in enumerate(values):
        parts.setdefault(-1 if value is None else next(found), []).append(n)
    if len(parts) < 2:
        return []
    ordered = [parts[key] for key in sorted(parts)]
    labels = _make_labels(trait, [values[part[0]] for part in ordered])
    return list(zip(labels, ordered, strict=True))


def _parse_numeric(values: list[Value]) -> np.ndarray | None:
    """Return values as (n, k) numbers, or None if one is text or their lengths differ."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    if len({len(row) for row in rows}) > 1 or any(isinstance(v, str) for row in rows for v in row):
        return None
    return np.array(rows, float)


def _cluster(rows: np.ndarray, trait: Trait) -> np.ndarray:
    """Cluster close values; return (n,) labels that increase with the values."""
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    labels = np.empty(len(rows), int)
    if rows.shape[1] == 1:
        allowed = np.maximum(trait.absolute, trait.relative * np.abs(ordered[1:, 0]))
        labels[order] = np.concatenate([[0], np.cumsum(np.diff(ordered[:, 0]) > allowed)])
    else:
        labels[order] = link(
            ordered, lambda row, others: np.linalg.norm(others - row, axis=1) <= trait.absolute
        )
    return labels


def _make_labels(trait: Trait, values: list[Value | None]) -> list[str]:
    if trait.counted:
        return [f"{trait.name} {n}" for n in range(1, len(values) + 1)]
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    if len({len(row) for row in rows}) == 1:
        # Keep only components that differ: ORIGINAL/PRIMARY/M and ORIGINAL/PRIMARY/P → M and P.
        columns = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
        rows = list(zip(*columns, strict=True))
    texts = ["/".join(map(_format_value, row)) for row in rows]
    return [f"{trait.name} {text}{'' if text == 'unknown' else trait.unit}" for text in texts]


def _format_value(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value)
