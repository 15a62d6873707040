"""The corpus of labelled sentences, and what may be wrong with it. Where it comes from: sources.py; draws from it: splits.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hadamard.model.data.base import Entry, Malformed, Record, excerpt
from hadamard.model.data.sources import find
from hadamard.model.errors import DataError
from hadamard.model.settings import Data

Indices = npt.NDArray[np.int64]

LABELS = ("negative", "positive")
MAX_LISTED = 5
"""Faults that one error lists."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Sentences with their labels; equal sentences have equal labels, and both labels occur.

    Attributes:
        texts: The sentences, in a fixed order; none holds a tab or a line break.
        labels: int64 [sentences], 0 (negative) or 1 (positive).
        source: Where the sentences came from, for people.
    """

    texts: tuple[str, ...]
    labels: Indices
    source: str

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the lines `text<TAB>label<LF>` in UTF-8, that is of the pooled TSV files without their headers."""
        lines = (f"{text}\t{label}\n" for text, label in zip(self.texts, self.labels.tolist(), strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @cached_property
    def duplicates(self) -> tuple[list[list[int]], list[list[int]]]:
        """For each label, the sentences' indices grouped by text, in order of first appearance; most groups hold one sentence."""
        groups: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        for index, (text, label) in enumerate(zip(self.texts, self.labels.tolist(), strict=True)):
            groups[label].setdefault(text, []).append(index)
        return list(groups[0].values()), list(groups[1].values())


def load_corpus(data: Data) -> Corpus:
    """Load the corpus that the settings name (`sources.find`).

    Raises:
        DataError: The corpus cannot be found, or something is wrong with it; names file and line.
    """
    source = find(data)
    return checked(source.read(), source.description)


def checked(entries: Iterable[Entry], source: str) -> Corpus:
    """Make a corpus of what was read.

    Raises:
        DataError: An entry is malformed, a text has both labels, or only one label occurs.
    """
    entries = list(entries)
    faults = [f"{entry.location}: {reason}" for entry in entries if (reason := _fault(entry))]
    _raise_if(faults, "malformed line(s); each must hold a text and its label, 0 or 1")
    records = [entry for entry in entries if isinstance(entry, Record)]
    _refuse_conflicts(records)
    labels = np.array([int(record.label) for record in records], np.int64)
    if labels.min() == labels.max():
        raise DataError(f"{source}: all {len(records)} sentences are {LABELS[labels[0]]} (label {labels[0]}), but both classes are needed.")
    return Corpus(tuple(record.text for record in records), labels, source)


def _fault(entry: Entry) -> str | None:
    """Return what is wrong with an entry by itself."""
    if isinstance(entry, Malformed):
        return entry.reason
    line, reason = f"{entry.text}\t{entry.label}", None
    if not entry.text.strip():
        reason = "the text is empty"
    elif "\t" in entry.text or "\n" in entry.text:
        reason = "the text holds a tab or a line break"
    elif entry.label not in ("0", "1"):
        reason = f"the label is {entry.label!r}, not 0 or 1"
    return reason and f"{reason}: {excerpt(line)}"


def _refuse_conflicts(records: Sequence[Record]) -> None:
    first: dict[str, Record] = {}
    faults = []
    for record in records:
        earlier = first.setdefault(record.text, record)
        if earlier.label != record.label:
            faults.append(
                f"{earlier.location} has label {earlier.label}, {record.location} has label {record.label}: {excerpt(record.text)}"
            )
    _raise_if(faults, "text(s) with both labels; keep one of them")


def _raise_if(faults: Sequence[str], heading: str) -> None:
    if faults:
        more = [f"and {len(faults) - MAX_LISTED} more"] if len(faults) > MAX_LISTED else []
        raise DataError("\n  ".join([f"{len(faults)} {heading}:", *faults[:MAX_LISTED], *more]))
