"""TSV files: a header, then a text, a tab and its label in each line, all of it taken literally."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hadamard.model.data.base import Entry, FileFormat, Malformed, Record, excerpt, lines_of
from hadamard.model.errors import DataError

HEADER = "text\tlabel"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read(file: Path) -> Iterator[Entry]:
    """Yield the lines after the header.

    Raises:
        DataError: The file is empty, or its header is another one.
    """
    header, *lines = lines_of(file)
    if header.removeprefix(BYTE_ORDER_MARK) != HEADER.encode():
        raise DataError(f"{file}:1: the header must be text<TAB>label, but the line is {excerpt(header)}.")
    for number, line in enumerate(lines, 2):
        yield _entry(f"{file}:{number}", line)


def _entry(location: str, line: bytes) -> Entry:
    try:
        columns = line.decode().split("\t")
    except UnicodeDecodeError:
        return Malformed(location, f"not valid UTF-8: {excerpt(line)}")
    if len(columns) != 2:
        return Malformed(location, f"{len(columns)} column(s) instead of 2: {excerpt(line)}")
    return Record(location, *columns)


TSV = FileFormat(".tsv", "the header text<TAB>label", read)
