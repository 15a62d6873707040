"""Splits: seeded draws of training, validation and test set from a corpus, and the folds of a cross-validation inside one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hadamard.model.data.corpus import LABELS, Corpus, Indices
from hadamard.model.errors import DataError
from hadamard.model.settings import Data, Fold


@dataclass(frozen=True, eq=False)
class Split:
    """Indices (int64, ascending) of the sentences of each set; the sets are disjoint.

    Attributes:
        train: Of the training set.
        validation: Of the validation set.
        test: Of the test set; empty in a fold of a cross-validation.
    """

    train: Indices
    validation: Indices
    test: Indices


def draw_split(corpus: Corpus, data: Data, seed: int) -> Split:
    """Draw training and validation set by the paper's protocol; the other sentences are the test set.

    Of either class `train_per_class` sentences are drawn; of all drawn, `validation_fraction` (rounded) become the validation set, from
    either class equally many or one more positive. Copies of a text always stay together: texts are drawn one by one, and a drawn
    text goes with all its copies to the training set if they fit there, else to the validation set if they fit there, else to the test
    set. So sizes are exact (435, 77 and 9,101 for SST-2) and no text is in two sets.

    Args:
        corpus: What to draw from.
        data: `train_per_class` and `validation_fraction`.
        seed: Of the random generator.

    Raises:
        DataError: There are too few sentences, or a set would be empty.
    """
    per_class = data.train_per_class
    counts = np.bincount(corpus.labels, minlength=2)
    if counts.min() <= per_class:
        there_are = " and ".join(f"{count} {name}" for count, name in zip(counts, LABELS, strict=True))
        raise DataError(
            f"data.train_per_class is {per_class}, which needs at least {per_class + 1} sentences of each class (one is left for the test "
            f"set), but there are {there_are} ({corpus.source}): lower it, or bring more sentences."
        )
    validation_size = data.set_sizes[1]
    negative, positive = validation_size // 2, validation_size - validation_size // 2
    sizes = {0: (per_class - negative, negative), 1: (per_class - positive, positive)}
    if validation_size == 0 or min(sizes[0][0], sizes[1][0]) == 0:
        raise DataError(
            f"data.validation_fraction {data.validation_fraction:g} of 2 x {per_class} drawn sentences is {validation_size} for validation,"
            " which leaves a set without sentences: choose another fraction, or raise data.train_per_class."
        )
    rng = np.random.default_rng(seed)
    by_class = [_deal(corpus.duplicates[label], sizes[label], rng) for label in (0, 1)]
    train, validation = (np.sort(np.array(a + b, np.int64)) for a, b in zip(*by_class, strict=True))
    test = np.setdiff1d(np.arange(len(corpus.texts)), np.concatenate([train, validation]))
    return Split(train, validation, test)


def draw_fold(corpus: Corpus, data: Data, seed: int, fold: Fold) -> Split:
    """Divide the sentences that a split draws, training and validation together, into those held out by a fold and the others.

    Either class is divided into `fold.of` parts whose sizes differ by one at most, by a draw of its own for each repeat; copies of a text
    stay together. The test set is empty: choices made by cross-validation must not see any test sentence.

    Args:
        corpus: What was drawn from.
        data: As for `draw_split`.
        seed: Of the split.
        fold: Which part is held out, as the validation set.

    Raises:
        DataError: As `draw_split`, or there are fewer sentences of a class than parts.
    """
    if fold.of > data.train_per_class:
        raise DataError(f"{data.train_per_class} drawn sentences of each class cannot be divided into {fold.of} folds: use fewer folds")
    split = draw_split(corpus, data, seed)
    pool = np.union1d(split.train, split.validation)
    in_pool = set(pool.tolist())
    rng = np.random.default_rng([seed, 1, fold.repeat])
    sizes = [data.fold_size(fold.model_copy(update={"index": index})) for index in range(fold.of)]
    held_out: list[int] = []
    for label in (0, 1):
        groups = [group for group in corpus.duplicates[label] if group[0] in in_pool]
        held_out += _deal(groups, sizes, rng, largest_first=True)[fold.index]
    validation = np.sort(np.array(held_out, np.int64))
    return Split(np.setdiff1d(pool, validation), validation, validation[:0])


def _deal(groups: Sequence[list[int]], sizes: Sequence[int], rng: np.random.Generator, largest_first: bool = False) -> list[list[int]]:
    """Deal groups of indices out in random order, each to the first set with room for it, until all sets have their size.

    Args:
        groups: Indices that stay together.
        sizes: Of the sets.
        rng: Gives the order.
        largest_first: Deal larger groups before smaller ones, where all groups have to find room.

    Raises:
        DataError: The sizes cannot be met.
    """
    sets: list[list[int]] = [[] for _ in sizes]
    order = [int(group) for group in rng.permutation(len(groups))]
    for group in sorted(order, key=lambda group: -len(groups[group])) if largest_first else order:
        for indices, size in zip(sets, sizes, strict=True):
            if len(indices) + len(groups[group]) <= size:
                indices.extend(groups[group])
                break
        if [len(indices) for indices in sets] == list(sizes):
            return sets
    raise DataError(
        f"Copies of a text must stay together, and with {len(groups)} distinct texts in one class no {' and '.join(map(str, sizes))} "
        "sentences could be drawn: remove repeated lines, or lower data.train_per_class."
    )
