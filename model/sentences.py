"""The sentences that trials of the same corpus and sentence encoder read: embeddings, labels, and the splits drawn from them.

Owns the check that they are those of the plan. Does not own how a corpus is read or embedded, nor any copy of the embeddings.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from model import embeddings, text
from model.errors import DataError
from model.settings import Data, Trial


class Sentences:
    """A corpus with its embeddings.

    Attributes:
        embeddings: [corpus, dimension] float32, memory-mapped: all processes of a node share its pages. Not to be written to.
        labels: [corpus].
    """

    def __init__(self, data: Data, data_hash: str, sentence_encoder_hash: str) -> None:
        """Read the corpus that the settings name and what was embedded of it; raises as `sentences_of`."""
        self._corpus, self._data = text.load(data), data
        if self._corpus.hash != data_hash:
            raise DataError(f"the corpus {self._corpus.source} changed since the study was planned; run the study again in a new directory")
        self.embeddings: npt.NDArray[np.float32] = np.asarray(embeddings.load(data_hash, sentence_encoder_hash))
        self.labels = self._corpus.labels
        self._splits: dict[int, text.Split] = {}

    def split(self, seed: int) -> text.Split:
        """Return the split of this seed, drawn once."""
        if seed not in self._splits:
            self._splits[seed] = text.split(self._corpus, self._data, seed)
        return self._splits[seed]


def sentences_of(trial: Trial) -> Sentences:
    """Return what a trial reads; the shapes of a pack mostly share it, so the last ones are kept.

    Raises:
        DataError: The corpus is gone, damaged, or not the one that was planned with.
    """
    return _read(trial.settings.data, trial.data_hash, trial.sentence_encoder_hash)


_read = functools.lru_cache(maxsize=1)(Sentences)
