"""The files of one trial (`trial.json`, `journal.jsonl`, `result.json`, a checkpoint) and of one pack, proof against kill -9.

Owns their names, their atomic writing and the reading of a journal. Does not own what a set of trials means: that is the ledger.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from hadamard.model.errors import LedgerError

Event = dict[str, Any]
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
LONGEST_LINE = 2**20
LOCK_WAIT_S = 60.0
"""Longer than a process may take to stop in good order (`hadamard.cluster.launch.STOP_GRACE_S`)."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash, sees either the old content or all of the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str) -> None:
    """Append a line to a file; what a killed writer, or a full disk, left of one before is cut off."""
    drop_torn_line(path)
    with open(path, "a") as file:
        file.write(line + "\n")


def drop_torn_line(path: Path) -> None:
    """Cut off what a killed writer left after the last complete line of a file."""
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        begin = max(0, file.seek(0, os.SEEK_END) - LONGEST_LINE)
        file.seek(begin)
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            file.truncate(begin + whole)


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


def existing_parent(path: Path) -> Path:
    """Return the path itself if it exists, else the nearest directory above it that does."""
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


def why_not_writable(directory: Path) -> str | None:
    """Return why nothing can be written to a directory, or where it would be made, or None if it can; leaves nothing behind."""
    standing = existing_parent(directory)
    try:
        with tempfile.TemporaryFile(dir=standing):  # root passes every check of permissions, so write for real
            return None
    except OSError as error:
        return f"{standing}: {error.strerror}"


def read_json(path: Path, fix: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        LedgerError: There is none; the message names file and line, and ends with the remedy.
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


def in_training(events: Sequence[Event]) -> bool:
    """Whether the last attempt that a journal tells of is open: begun, and neither done, failed nor stopped."""
    return bool(events) and events[-1]["event"] in ("started", "epoch", "evaluated")


class TrialFiles:
    """Named paths of one trial's directory, and what is read from and written to them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.trial = directory / "trial.json"
        self.journal = directory / "journal.jsonl"
        self.result = directory / "result.json"
        self.checkpoint = directory / "checkpoint.safetensors"

    def append(self, event: str, **fields: Any) -> None:
        """Append one event to the journal, stamped with the time in epoch milliseconds."""
        line = json.dumps({"event": event, "time_ms": int(time.time() * 1000), **fields})
        append_line(self.journal, line)

    def events(self) -> list[Event]:
        """Return the journal's events in order; a torn last line, left by a crash, does not count.

        Raises:
            LedgerError: A line before the last is damaged; the message names file and line.
        """
        if not self.journal.exists():
            return []
        *lines, _torn = self.journal.read_bytes().split(b"\n")
        events = []
        for number, line in enumerate(lines, start=1):
            try:
                event = json.loads(line)
                if not isinstance(event, dict) or "event" not in event or "time_ms" not in event:
                    raise ValueError("not a journal event")
            except ValueError as error:
                raise LedgerError(
                    f"{self.journal}:{number}: damaged journal line {line[:60]!r} ({error}). Delete the line to accept the rest, "
                    f"or the directory {self.directory} to have the trial done again."
                ) from error
            events.append(event)
        return events

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the trial for one process, waiting for a dying predecessor to let go.

        Not for ever: the lock of a node that is gone may stay on its file server, and that two processes do not train one trial rests on
        the study's ownership in the end.
        """
        with open(self.journal, "a") as file:
            deadline = time.monotonic() + LOCK_WAIT_S
            while not locked(file, wait=False):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            yield


class PackFiles:
    """Named paths of one pack's directory: `pack.json`, which says what one process is to train, and that process's log."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.description = directory / "pack.json"
        self.log = directory / "log.txt"

    @property
    def trials(self) -> list[TrialFiles]:
        """The files of the pack's trials, in the order in which they are trained."""
        return [TrialFiles((self.directory / one).resolve()) for one in self._read()["trials"]]

    @property
    def alone(self) -> set[Path]:
        """The directories of those trials that are not trained together with others."""
        return {(self.directory / one).resolve() for one in self._read()["alone"]}

    def write(self, trials: Sequence[TrialFiles], alone: Collection[Path] = ()) -> None:
        """Name the trials to train, and the directories of those to train alone.

        Paths are kept relative, so that a study's directory may be moved.
        """
        self.directory.mkdir(exist_ok=True)
        named = {"trials": [one.directory for one in trials], "alone": sorted(alone)}
        relative = {
            name: [os.path.relpath(one.resolve(), self.directory.resolve()) for one in directories] for name, directories in named.items()
        }
        write_atomically(self.description, json.dumps(relative, indent=1))

    def _read(self) -> dict[str, Any]:
        return read_json(self.description, "Give the same `hadamard run` again")
