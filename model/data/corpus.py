"""The corpus of labelled sentences: where it comes from, what may be wrong with it, and how a split draws from it.

Owns reading, checking, hashing and splitting. Does not own the words of the `reviews` grammar, nor embeddings.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hadamard.model.data import grammar
from hadamard.model.errors import DataError
from hadamard.model.settings import Data, Fold

Indices = npt.NDArray[np.int64]

LABELS = ("negative", "positive")
HEADER = "text\tlabel"
REVIEWS_SEED = 2026
"""Fixed, so that the `reviews` corpus is a function of its settings alone."""
SST2_VARIABLE = "HADAMARD_SST2"
SST2_HUB = "SetFit/sst2"
SST2_REVISION = "00ea8ccb7a54b4e3780a3e51aa3f80361ff849c0"
HUB_TIMEOUT_S = 5.0
SHOWN = 5
"""How many faults one error lists."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Sentences with their labels; equal sentences have equal labels, and both labels occur.

    Attributes:
        texts: the sentences, in a fixed order; none holds a tab or a line break.
        labels: int64 of shape [sentences], 0 (negative) or 1 (positive).
        source: where the sentences came from, for people.
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
    def copies(self) -> tuple[list[list[int]], list[list[int]]]:
        """Indices of the sentences by label and text, in order of first appearance."""
        groups: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        for index, (text, label) in enumerate(zip(self.texts, self.labels.tolist(), strict=True)):
            groups[label].setdefault(text, []).append(index)
        return list(groups[0].values()), list(groups[1].values())


@dataclass(frozen=True, eq=False)
class Split:
    """One seeded draw: int64 indices into the corpus, each side in ascending order, together every sentence exactly once."""

    train: Indices
    validation: Indices
    test: Indices


class _Row(NamedTuple):
    place: str
    text: str
    label: int


def load(data: Data) -> Corpus:
    """Load the corpus that the settings name.

    `reviews` is written by the grammar. `sst2` is read from `data.path`, else from the path in the environment variable HADAMARD_SST2,
    else from the Hugging Face hub (its cache first). Any other name is read from `data.path`.

    Raises:
        DataError: the corpus cannot be found, or something is wrong with it; names file and line.
    """
    if data.name == "reviews":
        return _reviews(data)
    if data.path is not None:
        return _read(data.name, Path(data.path), "data.path")
    if data.name != "sst2":
        raise DataError(
            f"data.name is {data.name!r}, but data.path is not set: give the path of a TSV file, or of a directory of them, with the "
            "header text<TAB>label, or choose a corpus that needs no path: reviews, sst2."
        )
    if path := os.environ.get(SST2_VARIABLE):
        return _read(data.name, Path(path), f"environment variable {SST2_VARIABLE}")
    rows = [row for name in ("train.jsonl", "dev.jsonl", "test.jsonl") for row in _read_jsonl(_hub_file(name))]
    return _corpus(rows, f"sst2 from {SST2_HUB} on the Hugging Face hub")


def _reviews(data: Data) -> Corpus:
    if data.path is not None:
        raise DataError(
            f"data.path is {data.path!r}, but data.name is 'reviews', whose sentences are written and not read: "
            "set data.name to a name of your own, or leave data.path out."
        )
    texts, labels = zip(*grammar.write(data.sentences, data.difficulty, REVIEWS_SEED), strict=True)
    source = f"{data.sentences} sentences of the reviews grammar at difficulty {data.difficulty:g}"
    return Corpus(texts, np.array(labels, np.int64), source)


def _read(name: str, path: Path, chosen_by: str) -> Corpus:
    path = path.expanduser()
    if path.is_dir():
        files = sorted(path.glob("*.tsv"), key=_pooling_order)
        if not files:
            raise DataError(f"No *.tsv file in the directory {path} ({chosen_by}): put files with the header text<TAB>label there.")
    elif path.exists():
        files = [path]
    else:
        raise DataError(f"There is no file or directory {path.absolute()} ({chosen_by}): correct the path.")
    return _corpus([row for file in files for row in _read_tsv(file)], f"{name} from {path} ({chosen_by})")


def _pooling_order(path: Path) -> tuple[int, str]:
    usual = ("train", "dev", "test")
    return (usual.index(path.stem) if path.stem in usual else len(usual), path.name)


def _read_tsv(path: Path) -> list[_Row]:
    # Only LF ends a line: a sentence may hold any of the other characters that Python's splitlines() knows.
    header, *lines = _read_bytes(path).removesuffix(b"\n").split(b"\n")
    if header.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r") != HEADER.encode():
        raise DataError(f"{path}:1: the header must be text<TAB>label, but the line is {_shown(header)}.")
    return _rows(path, lines, 2, _parse_tsv)


def _read_jsonl(path: Path) -> list[_Row]:
    return _rows(path, _read_bytes(path).removesuffix(b"\n").split(b"\n"), 1, _parse_json)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if not content.strip():
        raise DataError(f"{path} is empty: it should hold sentences with labels.")
    return content


def _rows(path: Path, lines: Sequence[bytes], first: int, parse: Callable[[bytes], tuple[str, int]]) -> list[_Row]:
    rows, faults = [], []
    for number, line in enumerate(lines, first):
        place = f"{path}:{number}"
        try:
            rows.append(_Row(place, *parse(line.removesuffix(b"\r"))))
        except UnicodeDecodeError:
            faults.append(f"{place}: not valid UTF-8: {_shown(line)}")
        except ValueError as error:
            faults.append(f"{place}: {error}: {_shown(line)}")
    _raise_if(faults, "malformed line(s); each must hold a text and, after a tab, its label 0 or 1")
    if not rows:
        raise DataError(f"{path} holds no sentences after its header.")
    return rows


def _parse_tsv(line: bytes) -> tuple[str, int]:
    columns = line.decode().split("\t")
    if len(columns) != 2:
        raise ValueError(f"{len(columns)} column(s) instead of 2")
    return _checked(*columns)


def _parse_json(line: bytes) -> tuple[str, int]:
    record = json.loads(line)
    if not isinstance(record, dict) or not {"text", "label"} <= record.keys():
        raise ValueError("no text and label")
    return _checked(str(record["text"]), str(record["label"]))


def _checked(text: str, label: str) -> tuple[str, int]:
    if not text.strip():
        raise ValueError("the text is empty")
    if "\t" in text or "\n" in text:
        raise ValueError("the text holds a tab or a line break")
    if label not in ("0", "1"):
        raise ValueError(f"the label is {label!r}, not 0 or 1")
    return text, int(label)


def _corpus(rows: Sequence[_Row], source: str) -> Corpus:
    first: dict[str, _Row] = {}
    faults = []
    for row in rows:
        earlier = first.setdefault(row.text, row)
        if earlier.label != row.label:
            faults.append(f"{earlier.place} has label {earlier.label}, {row.place} has label {row.label}: {_shown(row.text.encode())}")
    _raise_if(faults, "text(s) with both labels; keep one of them")
    labels = np.array([row.label for row in rows], np.int64)
    if labels.min() == labels.max():
        raise DataError(f"{source}: all {len(rows)} sentences are {LABELS[labels[0]]} (label {labels[0]}), but both classes are needed.")
    return Corpus(tuple(row.text for row in rows), labels, source)


def _raise_if(faults: Sequence[str], what: str) -> None:
    if faults:
        more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        raise DataError("\n  ".join([f"{len(faults)} {what}:", *faults[:SHOWN], *more]))


def _shown(line: bytes) -> str:
    text = line.decode(errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _hub_file(name: str) -> Path:
    """Find a file of the hub's SST-2 in the local cache, or download it."""
    from huggingface_hub import HfApi, hf_hub_download

    def fetch(local: bool) -> Path:
        path = hf_hub_download(
            SST2_HUB, name, repo_type="dataset", revision=SST2_REVISION, etag_timeout=HUB_TIMEOUT_S, local_files_only=local
        )
        return Path(path)

    try:
        return fetch(local=True)
    except OSError:
        pass
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise ConnectionError("HF_HUB_OFFLINE is set")
        # One question without retries: where there is no network, a download would retry for a minute.
        HfApi().dataset_info(SST2_HUB, revision=SST2_REVISION, timeout=HUB_TIMEOUT_S)
        return fetch(local=False)
    except Exception as error:  # The hub's client lets the errors of its HTTP library through.
        raise DataError(
            "data.name is 'sst2', but there are no such sentences here: data.path is not set, the environment variable "
            f"{SST2_VARIABLE} is not set, and {SST2_HUB} is not in the cache of the Hugging Face hub, nor could it be downloaded "
            f"({type(error).__name__}: {error}). Give a TSV file or a directory of them by one of the first two, "
            "or run `hadamard fetch STUDY` where there is a network, on a cluster's login node."
        ) from error


def split(corpus: Corpus, data: Data, seed: int) -> Split:
    """Draw train and validation by the paper's protocol; the rest is the test side.

    Of either class `train_per_class` sentences are drawn; of all drawn, `validation_fraction` (rounded) become the validation side, from
    either class equally many or one more positive. Copies of a text always stay together: texts are drawn one by one, and a drawn
    text goes with all its copies to train if they fit there, else to validation if they fit there, else to the test side. So sizes are
    exact (435, 77 and 9,101 for SST-2) and no text is on two sides.

    Args:
        corpus: what to draw from.
        data: `train_per_class` and `validation_fraction`.
        seed: of the draw.

    Raises:
        DataError: there are too few sentences, or a side would be empty.
    """
    drawn = data.train_per_class
    have = np.bincount(corpus.labels, minlength=2)
    if have.min() <= drawn:
        counts = " and ".join(f"{count} {name}" for count, name in zip(have, LABELS, strict=True))
        raise DataError(
            f"data.train_per_class is {drawn}, which needs at least {drawn + 1} sentences of each class (one is left for the test side), "
            f"but there are {counts} ({corpus.source}): lower it, or bring more sentences."
        )
    held = data.sides[1]
    sizes = {0: (drawn - held // 2, held // 2), 1: (drawn - (held - held // 2), held - held // 2)}
    if held == 0 or min(sizes[0][0], sizes[1][0]) == 0:
        raise DataError(
            f"data.validation_fraction {data.validation_fraction:g} of 2 x {drawn} drawn sentences is {held} for validation, which leaves "
            "one of the sides without sentences: choose another fraction, or raise data.train_per_class."
        )
    rng = np.random.default_rng(seed)
    negative, positive = (_draw(corpus.copies[label], sizes[label], rng) for label in (0, 1))
    train, validation = (np.sort(np.array(a + b, np.int64)) for a, b in zip(negative, positive, strict=True))
    test = np.setdiff1d(np.arange(len(corpus.texts)), np.concatenate([train, validation]))
    return Split(train, validation, test)


def hold_out(corpus: Corpus, data: Data, seed: int, fold: Fold) -> Split:
    """Divide the sentences that a split draws, train and validation together, into those held out by a fold and the others.

    Either class is divided into `fold.of` parts whose sizes differ by one at most, by a draw of its own for each repeat; copies of a text
    stay together. No test sentence is named: choices made by cross-validation must not see any.

    Args:
        corpus: what was drawn from.
        data: as for `split`.
        seed: of the split.
        fold: which part is held out.

    Raises:
        DataError: as `split`, or there are fewer sentences of a class than parts.
    """
    if fold.of > data.train_per_class:
        raise DataError(f"{data.train_per_class} drawn sentences of each class cannot be divided into {fold.of} folds: use fewer folds")
    whole = split(corpus, data, seed)
    drawn = set(np.concatenate([whole.train, whole.validation]).tolist())
    rng = np.random.default_rng([seed, 1, fold.repeat])
    sizes = [data.held_out(fold.model_copy(update={"index": index})) for index in range(fold.of)]
    held: list[int] = []
    for label in (0, 1):
        groups = [group for group in corpus.copies[label] if group[0] in drawn]
        held += _draw(groups, sizes, rng, largest_first=True)[fold.index]
    validation = np.sort(np.array(held, np.int64))
    train = np.setdiff1d(np.array(sorted(drawn), np.int64), validation)
    return Split(train, validation, validation[:0])


def _draw(groups: Sequence[list[int]], sizes: Sequence[int], rng: np.random.Generator, largest_first: bool = False) -> list[list[int]]:
    """Deal groups out at random to sides of these sizes, first come first filled; the largest come first where all have to find a place."""
    sides: list[list[int]] = [[] for _ in sizes]
    order = [int(group) for group in rng.permutation(len(groups))]
    for group in sorted(order, key=lambda group: -len(groups[group])) if largest_first else order:
        for side, size in zip(sides, sizes, strict=True):
            if len(side) + len(groups[group]) <= size:
                side.extend(groups[group])
                break
        if [len(side) for side in sides] == list(sizes):
            return sides
    raise DataError(
        f"Copies of a text must stay together, and with {len(groups)} distinct texts in one class no {' and '.join(map(str, sizes))} "
        "sentences could be drawn: remove repeated lines, or lower data.train_per_class."
    )
