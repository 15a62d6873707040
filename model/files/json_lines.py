"""Files of one JSON object per line, which are appended to: journals, logs of resources and of phases."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hadamard.model.errors import LedgerError

LONGEST_LINE = 2**20


def append_line(path: Path, line: str) -> None:
    """Append a line to a file; what a killed writer, or a full disk, left of one before is cut off."""
    drop_torn_line(path)
    with open(path, "a") as file:
        file.write(line + "\n")


def drop_torn_line(path: Path) -> None:
    """Cut off what a killed writer left after the last complete line of a file."""
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0 or _last_byte(file.fileno(), size) == b"\n":  # nearly always: of a long line no more than this is read
            return
        begin = max(0, size - LONGEST_LINE)
        file.seek(begin)
        file.truncate(begin + file.read().rfind(b"\n") + 1)


def read_lines(
    path: Path, keys: Collection[str] = (), fix: str = "Delete the line to accept the rest", skip_damaged: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file in order; none if it is not there. A torn last line, left by a crash, does not count.

    Args:
        path: The file.
        keys: Which every object has to have.
        fix: What to do about a damaged line, for the message.
        skip_damaged: Whether lines that a crash, a full disk or a lost node has damaged are left out, where none of them is missed.

    Raises:
        LedgerError: A line before the last is damaged; the message names file and line.
    """
    try:
        *lines, _torn = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            if not isinstance(content, dict) or not all(key in content for key in keys):
                raise ValueError(f"not an object with {', '.join(keys)}" if keys else "not a JSON object")
        except ValueError as error:
            if skip_damaged:
                continue
            raise LedgerError(f"{path}:{number}: damaged line {line[:60]!r} ({error}). {fix}") from error
        yield content


def _last_byte(descriptor: int, size: int) -> bytes:
    return os.pread(descriptor, 1, size - 1)
