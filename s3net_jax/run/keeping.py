"""Keep the fits of volumes and tiled pictures during a run, and show how many are finished."""

from __future__ import annotations

from collections.abc import Iterable

from s3net_jax.errors import OutputError
from s3net_jax.run.output.kept import delete_fits
from s3net_jax.run.output.plan import Task
from s3net_jax.run.output.writer import Key, OpenInput
from s3net_jax.run.settings import RunSettings
from s3net_jax.run.summary import Listener

__all__ = ["FitKeeper"]


class FitKeeper:
    """Keeps fits until the first error of the output folder: a result needs no kept fits."""

    def __init__(self, settings: RunSettings, listener: Listener) -> None:
        self._settings, self._listener = settings, listener
        self._works = True

    def clean(self, plan: Iterable[Task]) -> None:
        """Delete the kept fits of inputs that have a result, and with ``overwrite`` all of them."""
        for task in plan:
            if self._settings.overwrite or task.is_done:
                delete_fits(self._settings.folder, task.source.stem)

    def announce(self, number: int, opened: OpenInput) -> None:
        """Say how many fits of input ``number`` an earlier run kept, and show its pieces."""
        if opened.fits:
            count, path = len(opened.fits), opened.task.source.path
            self._listener.say(
                f"{path}: {count} of {opened.wanted} fits are kept from an interrupted run."
            )
        self.show(number, opened)

    def show(self, number: int, opened: OpenInput | None) -> None:
        """Show how many pieces of input ``number`` are fitted, if it has several and is open."""
        seeds = self._settings.identity.seeds
        if opened is not None and opened.wanted > seeds:
            noun = "tile" if opened.case.volume is None else "slice"
            done, total = len(opened.fits) // seeds, opened.wanted // seeds
            self._listener.show_pieces(number, noun, done, total)

    def keep(self, opened: OpenInput, key: Key) -> None:
        """Keep a fit of an input of several pieces, so that a killed run can be resumed."""
        if opened.kept is None or not self._works:
            return
        try:
            opened.kept.put(*key, opened.fits[key])
        except OutputError as error:
            self._works = False
            self._listener.say(f"Finished slices and tiles are not kept any more. {error}")
