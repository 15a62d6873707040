"""All formats of corpus files, and how the files at a path are found and read. A new one is a file beside this one and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from hadamard.model.data.base import Entry, FileFormat, Source
from hadamard.model.errors import DataError
from hadamard.model.lazy import load

_NAMES = (
    "tsv:TSV",  # the first one also reads files of any other suffix
)
FORMATS: tuple[FileFormat, ...] = tuple(load(f"hadamard.model.data.{name}") for name in _NAMES)
FIRST_FILES = ("train", "dev", "test")
"""The files of a directory are pooled in this order, then by name."""


def files_at(path: Path, name: str, chosen_by: str) -> Source:
    """Return the corpus in a file, or in the files of one format in a directory, which are pooled.

    Args:
        path: The file or directory.
        name: The corpus, as a study calls it.
        chosen_by: What says that it is there, for messages: `data.path`, or an environment variable.

    Raises:
        DataError: There is nothing at this path, or no file of a known format.
    """
    path = path.expanduser()
    form, files = _files(path, chosen_by)
    return Source(f"{name} from {path} ({chosen_by})", path, partial(read_files, form, files))


def choices() -> str:
    """Return in words what files there may be."""
    return ", or ".join(f"{form.suffix} files with {form.layout}" for form in FORMATS)


def _files(path: Path, chosen_by: str) -> tuple[FileFormat, Sequence[Path]]:
    if path.is_dir():
        for form in FORMATS:
            if files := sorted(path.glob(f"*{form.suffix}"), key=_pooling_order):
                return form, files
        patterns = " or ".join(f"*{form.suffix}" for form in FORMATS)
        raise DataError(f"No {patterns} file in the directory {path} ({chosen_by}): put {choices()} there.")
    if not path.exists():
        raise DataError(f"There is no file or directory {path.absolute()} ({chosen_by}): correct the path.")
    return next((form for form in FORMATS if form.suffix == path.suffix), FORMATS[0]), [path]


def _pooling_order(path: Path) -> tuple[int, str]:
    return (FIRST_FILES.index(path.stem) if path.stem in FIRST_FILES else len(FIRST_FILES), path.name)


def read_files(form: FileFormat, files: Iterable[Path]) -> Iterator[Entry]:
    """Yield the entries of files of one format.

    Raises:
        DataError: A file cannot be read, is of another format, or holds no entries.
    """
    for file in files:
        try:
            entries = list(form.read(file))
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{file} cannot be read: it is not valid UTF-8 ({error}).") from error
        if not entries:
            raise DataError(f"{file} holds no sentences.")
        yield from entries
