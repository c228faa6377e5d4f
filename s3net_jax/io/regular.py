"""Open regular files only: no pipes that block, no devices, no symbolic links."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["MAX_BYTES", "open_regular", "read_regular"]

MAX_BYTES = 1 << 28
"""Largest file, in bytes, that is read into memory as a whole. It is far above what s3net writes (a
history of 500 slices with 10 seeds has about 15 MB) and far below usual memory sizes."""

# Opening a pipe without O_NONBLOCK blocks until its other end is open. O_NOCTTY keeps a terminal
# from becoming the controlling one.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "Is a directory"),
    (stat.S_ISFIFO, errno.EINVAL, "Is a pipe, not a file"),
    (stat.S_ISSOCK, errno.EINVAL, "Is a socket, not a file"),
    (stat.S_ISREG, 0, ""),
)


def open_regular(
    path: str | os.PathLike[str], flags: int = os.O_RDONLY, *, follow: bool = False
) -> int:
    """Open a regular file without blocking.

    The file type is checked on the open descriptor, so the file cannot be exchanged in between.

    Args:
      path: path of the file.
      flags: flags of :func:`os.open`.
      follow: whether to follow a symbolic link. Use it only for paths given by the user: a link
        in a results folder may point anywhere.

    Returns:
      An open file descriptor, which the caller must close.

    Raises:
      OSError: the file cannot be opened, or is a link, folder, pipe, socket or device.
    """
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(path, flags | _FLAGS, 0o666)
    except OSError as error:
        if not follow and os.path.islink(path):
            raise OSError(errno.ELOOP, "Is a symbolic link", str(path)) from None
        if error.errno == errno.ENXIO:  # a socket, or a pipe without a reader
            raise OSError(errno.ENXIO, "Is a pipe or a socket, not a file", str(path)) from None
        raise
    mode = os.fstat(handle).st_mode
    number, text = next(
        ((number, text) for is_kind, number, text in _KINDS if is_kind(mode)),
        (errno.EINVAL, "Is a device, not a file"),
    )
    if text:
        os.close(handle)
        raise OSError(number, text, str(path))
    return handle


def read_regular(path: str | os.PathLike[str], *, follow: bool = False) -> bytes:
    """Read a regular file into memory; see :func:`open_regular`.

    Raises:
      OSError: the file cannot be read, or is larger than :data:`MAX_BYTES`.
    """
    with os.fdopen(open_regular(Path(path), follow=follow), "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"Has more than {MAX_BYTES >> 20} MiB", str(path))
    return content
