"""Simulate a disk that fails, dies or loses unsynced data, at any operation on a folder."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Cut", "Dies", "Disk", "KilledError", "Operation", "cuts", "intercept"]

_NAMES = ("open", "write", "ftruncate", "fsync", "replace", "unlink", "rmdir")


class KilledError(BaseException):
    """The process is dead; nothing that it does later reaches the disk."""


@dataclass
class Disk:
    """Record all operations of ``os`` on the files of a folder.

    Attributes:
      root: folder.
      before: function called with (number from 1, name, arguments) before every operation; it may
        raise, or return a value that replaces the operation.
      operations: operations so far, for :func:`cuts`.
    """

    root: Path
    before: Callable[[int, str, tuple[Any, ...]], Any] = lambda number, name, arguments: None
    operations: list[Operation] = field(default_factory=list)
    count: int = 0
    _inodes: dict[str, int] = field(default_factory=dict)
    _handles: dict[int, int | None] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)

    def name_in(self, path: Any) -> str | None:
        """Return a path's name in the folder (``.`` for the folder), or None outside of it."""
        if not isinstance(path, (str, os.PathLike)):
            return None
        absolute = os.path.abspath(path)
        if absolute == str(self.root):
            return "."
        inside = os.path.dirname(absolute) == str(self.root)
        name = os.path.basename(absolute)
        return name if inside and not name.startswith(".running-") else None

    def note(self, kind: str, name: str = "", inode: int = -1, more: Any = None) -> None:
        self.operations.append(Operation(kind, name, inode, more))


@dataclass(frozen=True)
class Operation:
    """One operation on the folder.

    ``link`` NAME INODE, ``data`` INODE CONTENT, ``sync`` INODE, ``rename`` NAME (``more``: new
    name), ``unlink`` NAME, ``folder`` (syncs all names), ``said`` NAME (announces a result).
    """

    kind: str
    name: str
    inode: int
    more: Any


@contextmanager
def intercept(monkeypatch: pytest.MonkeyPatch, disk: Disk) -> Iterator[Disk]:
    """Patch ``os`` so that all operations pass through ``disk``."""
    real = {name: getattr(os, name) for name in (*_NAMES, "close")}

    def run_ahead(name: str, arguments: tuple[Any, ...]) -> Any:
        disk.count += 1
        return disk.before(disk.count, name, arguments)

    def content(handle: int) -> bytes:
        return os.pread(handle, os.fstat(handle).st_size, 0)

    def open_(path: Any, flags: int, *more: Any, **named: Any) -> int:
        name = disk.name_in(path)
        with disk._lock:
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if name is None or not (writes or name == "."):
                return real["open"](path, flags, *more, **named)
            if flags & os.O_CREAT:
                run_ahead("open", (path, flags))
            handle = real["open"](path, flags, *more, **named)
            if name == ".":
                disk._handles[handle] = None
                return handle
            if name not in disk._inodes:
                disk._inodes[name] = os.fstat(handle).st_ino
                disk.note("link", name, disk._inodes[name])
                disk.note("data", "", disk._inodes[name], content(handle))
            disk._handles[handle] = disk._inodes[name]
            return handle

    def make_changing(name: str) -> Callable[..., Any]:
        def change(handle: int, *arguments: Any) -> Any:
            with disk._lock:
                if disk._handles.get(handle) is None:
                    return real[name](handle, *arguments)
                answer = run_ahead(name, (handle, *arguments))
                if answer is not None:
                    arguments = (arguments[0][:answer], *arguments[1:])
                found = real[name](handle, *arguments)
                disk.note("data", "", disk._handles[handle] or -1, content(handle))
                return found

        return change

    def fsync(handle: int) -> None:
        with disk._lock:
            if handle in disk._handles:
                run_ahead("fsync", (handle,))
                inode = disk._handles[handle]
                disk.note("folder") if inode is None else disk.note("sync", "", inode)

    def replace(source: Any, target: Any) -> None:
        with disk._lock:
            names = disk.name_in(source), disk.name_in(target)
            if names[0] is not None and names[1] is not None:
                run_ahead("replace", (source, target))
            real["replace"](source, target)
            if names[0] is not None and names[1] is not None:
                disk._inodes[names[1]] = disk._inodes.pop(names[0])
                disk.note("rename", names[0], more=names[1])

    def make_removing(name: str) -> Callable[..., None]:
        def remove(path: Any, **named: Any) -> None:
            found = disk.name_in(path)
            with disk._lock:
                if found is not None:
                    run_ahead(name, (path,))
                real[name](path, **named)
                if found is not None:
                    disk._inodes.pop(found, None)
                    disk.note("unlink", found)

        return remove

    def close(handle: int) -> None:
        with disk._lock:
            disk._handles.pop(handle, None)
            real["close"](handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_)
        patch.setattr(os, "write", make_changing("write"))
        patch.setattr(os, "ftruncate", make_changing("ftruncate"))
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "replace", replace)
        for name in ("unlink", "rmdir"):
            patch.setattr(os, name, make_removing(name))
        patch.setattr(os, "close", close)
        yield disk


class Dies:
    """Kill the process before the operation with this number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        if number >= self.number:
            raise KilledError


class Fails:
    """Make one operation fail with an error; without one, write only half, then report no space."""

    def __init__(self, number: int, code: int | None) -> None:
        self.number, self.code, self.hit = number, code, ""

    def __call__(self, number: int, name: str, arguments: tuple[Any, ...]) -> int | None:
        if number != self.number:
            return None
        self.hit = name
        if self.code is None:
            return len(arguments[1]) // 2 if name == "write" else None
        raise OSError(self.code, os.strerror(self.code))


CODES = (errno.ENOSPC, errno.EIO, errno.EACCES, None)


@dataclass(frozen=True)
class Cut:
    """The state after a power cut: contents by name, and the results announced before."""

    files: dict[str, bytes]
    said: set[str]


def cuts(operations: list[Operation]) -> Iterator[Cut]:
    """Yield the possible states of the disk after a power cut, for each operation.

    Of the names that were not synced, the first half, all or none may be on disk. Data that were
    not synced may be complete, partial or lost; a file whose data are lost is empty or zeros.
    """
    for end in range(len(operations) + 1):
        done = operations[:end]
        said = {one.name for one in done if one.kind == "said"}
        last = max((n for n, one in enumerate(done) if one.kind == "folder"), default=-1)
        sure = [one for one in done[: last + 1] if one.kind in ("link", "rename", "unlink")]
        open_ = [one for one in done[last + 1 :] if one.kind in ("link", "rename", "unlink")]
        for taken in sorted({0, len(open_) // 2, len(open_)}):
            names: dict[str, int] = {}
            for one in (*sure, *open_[:taken]):
                if one.kind == "link":
                    names[one.name] = one.inode
                elif one.kind == "rename":
                    names[one.more] = names.pop(one.name)
                else:
                    names.pop(one.name, None)
            for keep in ("lost", "kept", "torn", "zeros"):
                yield Cut({n: _content(done, i, keep) for n, i in names.items()}, said)


def _content(done: list[Operation], inode: int, keep: str) -> bytes:
    synced = latest = b""
    for one in done:
        if one.inode == inode and one.kind == "data":
            latest = one.more
        elif one.inode == inode and one.kind == "sync":
            synced = latest
    if keep == "kept" or latest == synced:
        return latest
    if keep == "torn":
        return latest[: (len(synced) + len(latest) + 1) // 2]
    return synced.ljust(len(latest), b"\0") if keep == "zeros" else synced
