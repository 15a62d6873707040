"""The `reviews` corpus: sentences written by our own grammar, so that a study needs no download."""

from __future__ import annotations

from collections.abc import Iterator

from hadamard.model.data.base import NamedCorpus, Record, Source
from hadamard.model.data.grammar import write
from hadamard.model.errors import DataError
from hadamard.model.settings import Data

SEED = 2026
"""Fixed, so that the corpus is a function of its settings alone."""


def find(data: Data) -> Source:
    """Return the corpus of these settings.

    Raises:
        DataError: A path is given.
    """
    if data.path is not None:
        raise DataError(
            f"data.path is {data.path!r}, but data.name is 'reviews', whose sentences are written and not read: "
            "set data.name to a name of your own, or leave data.path out."
        )

    def read() -> Iterator[Record]:
        for number, (text, label) in enumerate(write(data.sentences, data.difficulty, SEED), 1):
            yield Record(f"sentence {number}", text, str(label))

    return Source(f"{data.sentences} sentences of the reviews grammar at difficulty {data.difficulty:g}", None, read)


REVIEWS = NamedCorpus("reviews", find)
