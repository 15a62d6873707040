"""Files that others read while they are written, and that survive kill -9."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from hadamard.model.errors import LedgerError

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash, sees either the old content or all of the new."""
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_beside(path: Path) -> Path:
    """Return a name in the same directory that no other thread, process or host takes."""
    unique = f"{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.{time.monotonic_ns()}"
    return path.with_name(f".{path.name}.{unique}.tmp")


def locked(file: IO[Any], wait: bool) -> bool:
    """Keep other processes from locking an open file until it is closed; return False if another one has locked it.

    On a file system without locks, as some that nodes share, everybody may have it: who runs a study is not decided by this.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def open_lock(path: Path) -> IO[Any]:
    """Open a file to lock, and make it if need be; others' files serve as well as one's own, a link to somewhere else does not.

    Raises:
        OSError: It cannot be opened, or is a link.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except PermissionError:  # another user's, in a place that several share: it need not be written
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb")


def existing_parent(path: Path) -> Path:
    """Return the path itself if it exists, else the nearest directory above it that does."""
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


def why_not_writable(directory: Path) -> str | None:
    """Return why nothing can be written to a directory, or where it would be made, or None if it can; leaves nothing behind."""
    for place in (directory, *directory.parents):
        if place.is_symlink() and not place.exists():
            return f"{place} is a link to {place.readlink()}, which is not there"
    standing = existing_parent(directory)
    try:
        with tempfile.TemporaryFile(dir=standing):  # root passes every check of permissions, so write for real
            return None
    except OSError as error:
        return f"{standing}: {error.strerror}"


def read_json(path: Path, fix: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        LedgerError: There is none; the message names file and line, and ends with what to do.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise LedgerError(f"{path}: is missing. {fix}") from error
    except json.JSONDecodeError as error:
        raise LedgerError(f"{path}:{error.lineno}: damaged: {error.msg}. {fix}") from error
    except UnicodeDecodeError as error:
        raise LedgerError(f"{path}:1: damaged: not UTF-8. {fix}") from error
    if not isinstance(content, dict):
        raise LedgerError(f"{path}:1: damaged: not a JSON object. {fix}")
    return content
