"""Where a corpus comes from: the corpora that need no path, and for any other name the files at `data.path`.

A new corpus is a file beside this one and a line here; a new file format is registered in formats.py.
"""

from __future__ import annotations

from pathlib import Path

from hadamard.model.data.base import NamedCorpus, Source
from hadamard.model.data.formats import choices, files_at
from hadamard.model.errors import DataError
from hadamard.model.lazy import load
from hadamard.model.settings import Data

_NAMES = (
    "reviews:REVIEWS",
    "sst2:SST2",
)
NAMED: tuple[NamedCorpus, ...] = tuple(load(f"hadamard.model.data.{name}") for name in _NAMES)


def find(data: Data) -> Source:
    """Find the corpus of these settings, without reading or downloading it.

    Raises:
        DataError: It cannot be found.
    """
    for corpus in NAMED:
        if corpus.name == data.name:
            return corpus.find(data)
    if data.path is not None:
        return files_at(Path(data.path), data.name, "data.path")
    raise DataError(
        f"data.name is {data.name!r}, but data.path is not set: give the path of a file, or of a directory of files ({choices()}), "
        f"or choose a corpus that needs no path: {', '.join(corpus.name for corpus in NAMED)}."
    )
