"""Open the results in an output folder, to choose or correct their targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import InputError, OutputError, RecordError
from s3net_jax.io import remove_leftovers
from s3net_jax.masks import Segments
from s3net_jax.run.arrays import read_array, read_result
from s3net_jax.run.cases import Case, VolumeCase, open_case
from s3net_jax.run.content import read_content
from s3net_jax.run.inputs import Source, discover
from s3net_jax.run.output.damage import find_damage
from s3net_jax.run.output.lock import hold_folder
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.naming import restore_names
from s3net_jax.run.output.versions import Versions
from s3net_jax.run.retargeting.requests import Names
from s3net_jax.run.settings import OutputOptions
from s3net_jax.schema import ResultRecord, RunRecord, read_json

__all__ = ["Results", "Saved", "open_results"]

_REPAIR = "To repair it, repeat the command that wrote the folder, without --overwrite."


@dataclass(frozen=True, eq=False)
class Saved:
    """The saved maps of one result, in slices for a volume.

    Attributes:
      clusters: label map without the target, from which targets are chosen.
      present: present labels, mask and target.
    """

    clusters: np.ndarray
    present: Segments


@dataclass(eq=False)
class Results:
    """The results in an output folder, which is locked.

    Attributes:
      folder: output folder.
      log: log of the results.
      versions: earlier versions of the results.
      config: configuration of the run.
      digest: digest of that configuration.
      output: what the run measured and wrote beside the maps; None if it measured nothing.
      names: names by which a user can refer to results.
    """

    folder: Path
    log: ResultLog
    versions: Versions
    config: Config
    digest: str
    output: OutputOptions | None
    names: Names
    _sources: dict[str, Source] = field(default_factory=dict)

    def find_inputs(self, stems: Iterable[str], images: Iterable[str]) -> None:
        """Find the inputs of results, which :meth:`open_input` opens.

        Args:
          stems: names of the results.
          images: files, folders and patterns where the inputs are now; empty for the places that
            the log names. Folders are searched with their sub-folders.
        """
        given = list(images)
        records = [self.get(stem) for stem in stems]
        places = given or list(dict.fromkeys(r["input"] for r in records if "input" in r))
        sources = restore_names(discover(places, recursive=bool(given)), self.log)
        self._sources = {source.stem: source for source in sources if source.problem is None}

    def list_stems(self) -> list[str]:
        """Return the names of all finished results."""
        return [record["stem"] for record in self.log.list_finished()]

    def get(self, stem: str) -> ResultRecord:
        """Return the record of a result; raise :class:`InputError` if its input failed."""
        record = self.log.find_result(stem)
        if record is None:
            raise InputError(f"{self.folder} has no finished result of {stem}: segment it first.")
        return record

    def check(self, record: ResultRecord) -> None:
        """Check that the files of a result exist and are those that were written.

        Raises:
          InputError: a file is missing or damaged, or the result has another configuration.
        """
        damage = find_damage(self.folder, record)
        if damage:
            raise InputError(f"{self.folder / damage[0].name} {damage[0].problem}. {_REPAIR}")
        if "labels" not in record.get("outputs", {}):
            raise InputError(f"The result of {record['stem']} has no label map. {_REPAIR}")
        if record.get("config") != self.digest:
            raise InputError(
                f"The result of {record['stem']} has another configuration than "
                f"{self.folder / 'run.json'}: segment its input again with --overwrite."
            )

    def open_input(self, record: ResultRecord, config: Config) -> Case:
        """Open the input of a result with another target.

        Raises:
          InputError: the input is missing, unreadable or another one than was segmented, or the
            target is a point outside it.
        """
        source = self.get_source(record)
        content = read_content(source)
        if content.digest != record.get("sha256"):
            raise InputError(
                f"{source.path} has changed since it was segmented: restore it, name its place "
                "with --images, or segment it again."
            )
        case = open_case(source, config)
        content.check()
        return case

    def get_source(self, record: ResultRecord) -> Source:
        """Return the input of a result; raise :class:`InputError` if it was not found."""
        source = self._sources.get(record["stem"])
        if source is None or not source.path.exists():
            raise InputError(
                f"{record.get('input', record['stem'])} can't be read or is no longer there: name "
                "its present place with --images."
            )
        return source

    def read_maps(self, record: ResultRecord, case: Case) -> Saved:
        """Read the label maps and the mask of a result.

        Raises:
          InputError: a file can't be read or has another size than its input.
        """
        outputs = record.get("outputs", {})
        labels = read_map(self.folder / outputs["labels"], case)
        mask = read_map(self.folder / outputs["mask"], case) > 0
        clusters = labels
        if "clusters" in outputs:
            clusters = read_map(self.folder / outputs["clusters"], case)
        target = tuple(record.get("target", ()))
        return Saved(clusters, Segments(labels, mask, target))


def read_map(path: Path, case: Case) -> np.ndarray:
    """Read a label map or mask of ``case``: (H, W), or (slices, H, W) for a volume; int32."""
    if not isinstance(case, VolumeCase):
        return read_result(path, case.pixels)
    assert case.volume is not None
    values = read_array(path)
    if values.size == np.prod(case.volume.shape):  # NIfTI files of a single slice have two axes
        values = values.reshape(case.volume.shape)
    if values.shape != case.volume.shape:
        raise InputError(f"{path} belongs to another volume: segment {case.name} again.")
    return np.ascontiguousarray(case.view.get_slices(values)).astype(np.int32)


@contextmanager
def open_results(folder: Path) -> Iterator[Results]:
    """Lock an output folder and read its log, after completing what a killed process left.

    Raises:
      OutputError: the folder is not an output folder, or a run is writing into it.
    """
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder: name the output folder of a run.")
    path = folder / "results.jsonl"
    if not path.exists():
        inner = folder / "predictions"
        hint = f" Did you mean {inner}?" if (inner / "results.jsonl").exists() else ""
        raise OutputError(
            f"{folder} contains no results.jsonl: name the output folder of a run.{hint}"
        )
    with hold_folder(folder, 0, ["retarget"]):
        remove_leftovers(folder)
        log = ResultLog(path)
        versions = Versions(folder, log)
        versions.repair()
        try:
            run: RunRecord = read_json(folder / "run.json", RunRecord)
        except RecordError as error:
            raise OutputError(
                f"{folder / 'run.json'} can't be used ({error}), so the configuration of the "
                "results is unknown: repeat the command that wrote the folder."
            ) from None
        config = Config().replace(**run.get("config", {}))
        written = run.get("output")
        output = None if written is None else OutputOptions.restore(written)
        names = Names(log.list_finished(), folder)
        yield Results(folder, log, versions, config, run["config_digest"], output, names)
