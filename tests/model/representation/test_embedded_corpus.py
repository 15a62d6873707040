"""What trials read: labels, shared embeddings, and the splits they name, of the corpus that was planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hadamard.model.data.corpus import Corpus, load_corpus
from hadamard.model.data.splits import draw_fold, draw_split
from hadamard.model.errors import DataError
from hadamard.model.representation import embeddings
from hadamard.model.representation.embedded_corpus import load_embedded_corpus
from hadamard.model.settings import Data, Fold
from hadamard.model.trial import Trial, TrialSettings

DATA = Data(sentences=100, train_per_class=10)


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """A corpus with embeddings in a cache of its own: each is the sentence's row number, four times."""
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path))
    corpus = load_corpus(DATA)
    file = embeddings.cached_file(corpus.hash, "encoder")
    file.parent.mkdir(parents=True)
    np.save(file, np.repeat(np.arange(100, dtype=np.float32)[:, None], 4, axis=1))
    return corpus


def trial(corpus: Corpus, seed: int = 1, fold: Fold | None = None, data_hash: str | None = None) -> Trial:
    return Trial(
        key="k", arm="a", settings=TrialSettings(data=DATA), data_hash=data_hash or corpus.hash, sentence_encoder_hash="encoder",
        split=0, split_seed=seed, seed=2, fold=fold,
    )  # fmt: skip


def test_trials_of_a_corpus_share_it_and_have_their_own_splits(corpus: Corpus) -> None:
    shared = load_embedded_corpus(trial(corpus))
    assert load_embedded_corpus(trial(corpus, seed=2)) is shared
    assert shared.embeddings[:, 0].tolist() == list(range(100))
    assert not shared.embeddings.flags.owndata, "a memory map"
    fold = Fold(repeat=0, index=1, of=2)
    for of_trial, drawn in (
        (trial(corpus, 1), draw_split(corpus, DATA, 1)),
        (trial(corpus, 2), draw_split(corpus, DATA, 2)),
        (trial(corpus, 1, fold), draw_fold(corpus, DATA, 1, fold)),
    ):
        for name in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(shared.split(of_trial), name), getattr(drawn, name))
    assert shared.split(trial(corpus, 1)) is shared.split(trial(corpus, 1)), "drawn once"


def test_a_corpus_that_is_not_the_planned_one_is_refused(corpus: Corpus) -> None:
    with pytest.raises(DataError, match="100 sentences of the reviews grammar .* changed since the study was planned"):
        load_embedded_corpus(trial(corpus, data_hash="0" * 64))


def test_embeddings_that_are_gone_are_an_error_that_names_the_file(corpus: Corpus) -> None:
    with pytest.raises(FileNotFoundError, match=r"embeddings/.*-missing\.npy"):
        load_embedded_corpus(trial(corpus).model_copy(update={"sentence_encoder_hash": "missing"}))
