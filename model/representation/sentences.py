"""The sentences that trials of the same corpus and representation read: embeddings, labels, and the splits drawn from them.

Owns the check that they are those of the plan. Does not own how a corpus is read or embedded, nor any copy of the embeddings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hadamard.model.data import corpus as text
from hadamard.model.errors import DataError
from hadamard.model.representation import embeddings
from hadamard.model.settings import Data, Fold
from hadamard.model.trial import Trial


class Sentences:
    """A corpus with its embeddings.

    Attributes:
        texts: [corpus].
        embeddings: [corpus, dimension] float32, memory-mapped: all processes of a node share its pages. Not to be written to.
        labels: [corpus].
    """

    def __init__(self, corpus: text.Corpus, data: Data, file: Path) -> None:
        """Read what was embedded of a corpus."""
        self._corpus, self._data = corpus, data
        self.texts, self.labels = corpus.texts, corpus.labels
        self.embeddings: npt.NDArray[np.float32] = np.asarray(embeddings.load(file))

    def split(self, trial: Trial) -> text.Split:
        """Return what a trial trains, chooses and tests with."""
        return _split(self._corpus, self._data, trial.split_seed, trial.fold)


def sentences_of(trial: Trial, should_stop: Callable[[], bool] = lambda: False) -> Sentences:
    """Return what a trial reads; the shapes of a pack mostly share it, so the last ones are kept.

    Where the sentence encoder is tuned on the trial's split, the first trial to ask has it tuned.

    Raises:
        DataError: The corpus is gone, damaged, or not the one that was planned with.
        StopRequest: It was told to stop while it tuned.
    """
    data = trial.settings.data
    corpus = _corpus(data, trial.data_hash)
    if trial.settings.sentence_encoder.representation == "setfit":
        split = _split(corpus, data, trial.split_seed, trial.fold)
        file = embeddings.ensure_tuned(trial, corpus, split, should_stop)
    else:
        file = embeddings.cached_file(trial.data_hash, trial.sentence_encoder_hash)
    return _read(corpus, data, file)


@functools.lru_cache(maxsize=1)
def _corpus(data: Data, data_hash: str) -> text.Corpus:
    corpus = text.load(data)
    if corpus.hash != data_hash:
        raise DataError(f"the corpus {corpus.source} changed since the study was planned; run the study again in a new directory")
    return corpus


@functools.lru_cache(maxsize=1024)
def _split(corpus: text.Corpus, data: Data, seed: int, fold: Fold | None) -> text.Split:
    return text.split(corpus, data, seed) if fold is None else text.hold_out(corpus, data, seed, fold)


_read = functools.lru_cache(maxsize=1)(Sentences)
