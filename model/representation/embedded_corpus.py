"""What trials of one corpus and representation read: embeddings, labels, and the splits drawn from them.

Corpora are read in model/data/, embeddings cached in embeddings.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hadamard.model.data.corpus import Corpus, load_corpus
from hadamard.model.data.splits import Split, draw_fold, draw_split
from hadamard.model.errors import DataError
from hadamard.model.representation import embeddings
from hadamard.model.settings import Data, Fold
from hadamard.model.trial import Trial


class EmbeddedCorpus:
    """A corpus with its embeddings.

    Attributes:
        texts: [corpus].
        labels: [corpus].
        embeddings: [corpus, dimension] float32, a read-only memory map whose pages all processes of a node share.
    """

    def __init__(self, corpus: Corpus, data: Data, file: Path) -> None:
        """Open the embeddings of a corpus.

        Args:
            corpus: The sentences.
            data: The settings that splits are drawn by.
            file: The cached embeddings.
        """
        self._corpus, self._data = corpus, data
        self.texts, self.labels = corpus.texts, corpus.labels
        self.embeddings: npt.NDArray[np.float32] = np.asarray(embeddings.load(file))

    def split(self, trial: Trial) -> Split:
        """Return the split or fold of a trial."""
        return _split(self._corpus, self._data, trial.split_seed, trial.fold)


def load_embedded_corpus(trial: Trial, should_stop: Callable[[], bool] = lambda: False) -> EmbeddedCorpus:
    """Return what a trial reads; the last one is kept in memory, since most trials of a pack share it.

    Where the sentence encoder is tuned on the trial's split, the first trial to need it tunes it.

    Raises:
        DataError: The corpus is gone, damaged, or not the one that was planned with.
        StopRequest: A stop was requested during tuning.
    """
    data = trial.settings.data
    corpus = _corpus(data, trial.data_hash)
    if trial.settings.sentence_encoder.representation == "setfit":
        split = _split(corpus, data, trial.split_seed, trial.fold)
        file = embeddings.ensure_tuned(trial, corpus, split, should_stop)
    else:
        file = embeddings.cached_file(trial.data_hash, trial.sentence_encoder_hash)
    return _embedded(corpus, data, file)


@functools.lru_cache(maxsize=1)
def _corpus(data: Data, data_hash: str) -> Corpus:
    corpus = load_corpus(data)
    if corpus.hash != data_hash:
        raise DataError(f"the corpus {corpus.source} changed since the study was planned; run the study again in a new directory")
    return corpus


@functools.lru_cache(maxsize=8)  # a split holds as many indices as the corpus has sentences
def _split(corpus: Corpus, data: Data, seed: int, fold: Fold | None) -> Split:
    return draw_split(corpus, data, seed) if fold is None else draw_fold(corpus, data, seed, fold)


_embedded = functools.lru_cache(maxsize=1)(EmbeddedCorpus)
