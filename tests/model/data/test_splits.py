"""What a split promises: sizes, classes, copies of a text, and chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hadamard.model.data.corpus import Corpus, load_corpus
from hadamard.model.data.splits import Split, draw_split
from hadamard.model.errors import DataError
from hadamard.model.settings import Data


def corpus_of(texts: list[str], labels: list[int]) -> Corpus:
    return Corpus(tuple(texts), np.array(labels, np.int64), "a test")


def assert_sound(corpus: Corpus, split: Split, data: Data) -> None:
    sets = {"train": split.train, "validation": split.validation, "test": split.test}
    assert sorted(np.concatenate(list(sets.values())).tolist()) == list(range(len(corpus.texts)))
    assert all(rows.dtype == np.int64 for rows in sets.values())
    texts = {name: {corpus.texts[i] for i in rows} for name, rows in sets.items()}
    assert not texts["train"] & texts["validation"]
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & texts["test"]
    drawn = np.concatenate([split.train, split.validation])
    assert np.bincount(corpus.labels[drawn], minlength=2).tolist() == [data.train_per_class] * 2
    for rows in (split.train, split.validation):
        assert abs(int(np.diff(np.bincount(corpus.labels[rows], minlength=2))[0])) <= 1
    assert len(np.unique(corpus.labels[split.test])) == 2


def test_split_is_a_function_of_its_seed() -> None:
    corpus = load_corpus(Data())
    first, again, other = (draw_split(corpus, Data(), seed) for seed in (0, 0, 1))
    assert all(np.array_equal(getattr(first, rows), getattr(again, rows)) for rows in ("train", "validation", "test"))
    assert len(np.intersect1d(first.train, other.train)) < 150  # 435**2 / 2000 = 95 expected
    assert_sound(corpus, first, Data())
    assert [len(rows) for rows in (first.train, first.validation, first.test)] == [435, 77, 1488]


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4)), min_size=2, max_size=40),
    st.integers(2, 9),
    st.floats(0.1, 0.9),
    st.integers(0, 99),
)
@hypothesis_settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_split_keeps_its_promises_or_refuses(copies: list[tuple[int, int]], drawn: int, fraction: float, seed: int) -> None:
    texts = [f"text {number}" for number, times in copies for _ in range(times)]
    corpus = corpus_of(texts, [int(t.split()[1]) % 2 for t in texts])
    data = Data(train_per_class=drawn, validation_fraction=fraction)
    try:
        split = draw_split(corpus, data, seed)
    except DataError:
        return
    assert_sound(corpus, split, data)
    assert len(split.validation) == round(fraction * 2 * drawn)


def test_copies_that_do_not_fit_are_passed_over() -> None:
    texts = [f"{label} {text}" for label in (0, 1) for text in ("a", "b", "b", "c", "c", "c", "d", "e", "f", "f")]
    corpus = corpus_of(texts, [0] * 10 + [1] * 10)
    data = Data(train_per_class=5, validation_fraction=0.4)
    for seed in range(100):  # three single texts, so the sizes can always be met
        assert_sound(corpus, draw_split(corpus, data, seed), data)


def test_every_sentence_is_as_likely_to_be_drawn_as_any_other() -> None:
    corpus = corpus_of([f"t{i}" for i in range(40)], [i % 2 for i in range(40)])
    data = Data(train_per_class=10, validation_fraction=0.2)
    draws = 2000
    train, validation = np.zeros(40), np.zeros(40)
    for seed in range(draws):
        split = draw_split(corpus, data, seed)
        train[split.train] += 1
        validation[split.validation] += 1
    for counts, chance in ((train, 0.4), (validation, 0.1)):
        assert np.abs(counts - draws * chance).max() < 4.5 * np.sqrt(draws * chance * (1 - chance))


def test_too_few_sentences_are_counted() -> None:
    corpus = corpus_of([f"t{i}" for i in range(30)], [0] * 10 + [1] * 20)
    with pytest.raises(DataError, match=r"train_per_class is 10, which needs at least 11 .* 10 negative and 20 positive"):
        draw_split(corpus, Data(train_per_class=10), 0)
    assert_sound(corpus, draw_split(corpus, Data(train_per_class=9), 0), Data(train_per_class=9))


def test_copies_that_do_not_fit_are_explained() -> None:
    corpus = corpus_of(["same"] * 20 + [f"t{i}" for i in range(20)], [0] * 20 + [1] * 20)
    with pytest.raises(DataError, match="Copies of a text must stay together, and with 1 distinct texts"):
        draw_split(corpus, Data(train_per_class=9), 0)


@pytest.mark.parametrize("fraction", [0.01, 0.95])
def test_a_side_without_sentences_is_refused(fraction: float) -> None:
    corpus = load_corpus(Data(sentences=100))
    with pytest.raises(DataError, match="leaves a set without sentences"):
        draw_split(corpus, Data(train_per_class=4, validation_fraction=fraction), 0)
