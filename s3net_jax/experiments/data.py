"""Read the data sets of an experiment, and set their folders to those of the user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s3net_jax.criteria import TARGET
from s3net_jax.errors import ConfigError, InputError, suggest_nearest
from s3net_jax.evaluate import DATASETS, Pair, find_pairs
from s3net_jax.experiments.fields import Fields, check_folder_name

__all__ = ["DataSet", "open_data", "read_data", "relocate"]


@dataclass(frozen=True)
class DataSet:
    """One data set of an experiment.

    Attributes:
      name: name in tables and folders.
      dataset: layout of the files, a name in :data:`s3net_jax.evaluate.DATASETS`.
      images: folder of the images; for a distributed data set, the folder it was unpacked into.
      masks: folder of the masks; only for the layout ``folder``.
      limit: maximum number of pairs, in order of name; 0 for all.
      skip: number of pairs to leave out before these, such as those that settings were chosen on.
    """

    name: str
    dataset: str
    images: Path
    masks: Path | None
    limit: int = 0
    skip: int = 0


def read_data(fields: Fields) -> tuple[DataSet, ...]:
    """Read the tables ``[data.NAME]``."""
    tables = fields.get_table("data")
    if not tables.get_names():
        meant = fields.suggest("data")
        fields.fail(f"there is no [data.NAME]: add at least one data set.{meant}")
    return tuple(_read_one(name, tables) for name in tables.get_names())


def _read_one(name: str, tables: Fields) -> DataSet:
    fields = tables.get_table(name)
    if not name.replace("_", "").replace("-", "").isalnum():
        fields.fail("the name of a data set may only contain letters, digits, _ and -.")
    check_folder_name(name, fields)
    dataset = fields.get_text("dataset", "folder")
    if dataset not in DATASETS:
        fields.fail(f"there is no data set {dataset!r}.{suggest_nearest(dataset, list(DATASETS))}")
    images = Path(fields.get_text("images"))
    masks = Path(fields.get_text("masks")) if dataset == "folder" else None
    limit = fields.get_count("limit", 0, low=0)
    skip = fields.get_count("skip", 0, low=0)
    fields.finish()
    return DataSet(name, dataset, images, masks, limit, skip)


def relocate(
    data: Sequence[DataSet], places: Sequence[str], limit: int | None = None
) -> tuple[DataSet, ...]:
    """Set the folders of data sets to those that the user gives.

    Args:
      data: data sets of the experiment file.
      places: texts ``NAME=FOLDER``. A folder with subfolders ``images`` and ``masks`` is read as
        pairs with equal names; any other folder is read in the layout given in the file.
      limit: maximum number of pairs of each data set; None keeps the limits of the file.

    Raises:
      ConfigError: if a text has another form, names a data set that the experiment does not have,
        or gives a folder without ``images`` and ``masks`` for the layout ``folder``.
    """
    found = {item.name: item for item in data}
    for text in places:
        name, sign, folder = text.partition("=")
        if not sign or not folder:
            raise ConfigError(f"Can't parse {text!r}: write --data NAME=FOLDER.")
        if name not in found:
            raise ConfigError(
                f"The experiment has no data set {name!r}.{suggest_nearest(name, list(found))}"
            )
        images, masks = Path(folder) / "images", Path(folder) / "masks"
        has_target = DATASETS[found[name].dataset].criteria is TARGET
        if has_target and os.path.isdir(images) and os.path.isdir(masks):
            found[name] = replace(found[name], dataset="folder", images=images, masks=masks)
        elif found[name].dataset == "folder":
            raise ConfigError(f"{folder} does not contain the folders images and masks.")
        else:
            found[name] = replace(found[name], images=Path(folder))
    if limit is not None:
        found = {name: replace(item, limit=limit) for name, item in found.items()}
    return tuple(found.values())


def open_data(data: DataSet) -> list[Pair]:
    """Find the pairs; raise :class:`ConfigError` that explains how to set the folder."""
    try:
        last = data.skip + data.limit if data.limit else None
        pairs = find_pairs(data.dataset, data.images, data.masks, last)
    except (ConfigError, InputError) as error:
        raise ConfigError(f"{error} Set its folder with --data {data.name}=FOLDER.") from None
    if data.skip >= len(pairs):
        raise ConfigError(
            f"data.{data.name}.skip={data.skip} leaves none of the {len(pairs)} images of "
            f"{data.images}: lower it."
        )
    return pairs[data.skip :]
