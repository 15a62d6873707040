"""The contract of corpora: what a file format reads, and where a corpus comes from.

formats.py registers the file formats, sources.py the corpora that need no path. How to add one: docs/extending/corpus-formats.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from hadamard.model.errors import DataError
from hadamard.model.settings import Data


class Record(NamedTuple):
    """One labelled sentence as it was read, not checked yet.

    Attributes:
        location: File and line, such as `train.tsv:17`; messages begin with it.
        text: The sentence.
        label: The label as written, `0` or `1` if all is well.
    """

    location: str
    text: str
    label: str


class Malformed(NamedTuple):
    """A line or row that holds no labelled sentence.

    Attributes:
        location: File and line, such as `train.tsv:17`.
        reason: What is wrong with it; shows the line.
    """

    location: str
    reason: str


Entry: TypeAlias = Record | Malformed


@dataclass(frozen=True)
class FileFormat:
    """A form of files that hold labelled sentences.

    Attributes:
        suffix: That of its files, such as `.tsv`.
        layout: What a file must look like, for messages that say what to write: "the header text<TAB>label".
        read: Returns what a file holds, in the order of the file, nothing left out. Raises DataError for a file of another form; what it
            raises of OSError and UnicodeDecodeError is reported with the file's name.
    """

    suffix: str
    layout: str
    read: Callable[[Path], Iterable[Entry]]


@dataclass(frozen=True)
class Source:
    """A corpus that has been found and not been read.

    Attributes:
        description: Where it comes from, for people.
        path: The file or directory on this machine's disk; None where the sentences are written by a program.
        read: Returns its entries in a fixed order; raises DataError.
    """

    description: str
    path: Path | None
    read: Callable[[], Iterable[Entry]]


@dataclass(frozen=True)
class NamedCorpus:
    """A corpus that a study names by `data.name` and that needs no `data.path`.

    Attributes:
        name: As in a study.
        find: Returns where it comes from, given the settings; raises DataError. Nothing is downloaded before the source is read.
    """

    name: str
    find: Callable[[Data], Source]


def lines_of(file: Path) -> list[bytes]:
    """Return the lines of a file without their LF, which alone ends a line: a sentence may hold whatever else splitlines() breaks at.

    Raises:
        DataError: The file is empty.
    """
    content = file.read_bytes()
    if not content.strip():
        raise DataError(f"{file} is empty: it should hold sentences with labels.")
    return [line.removesuffix(b"\r") for line in content.removesuffix(b"\n").split(b"\n")]


def excerpt(line: bytes | str) -> str:
    """Return a line as messages show it: in quotes, at most 80 characters of it."""
    text = line if isinstance(line, str) else line.decode(errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:79] + "…")
