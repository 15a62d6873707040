"""The corpus and the sentence encoder that trials read, looked up once per distinct setting.

They are found by `model/data/corpus.py` and `model/representation/sentence_encoders.py`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from hadamard.model.data.corpus import Corpus, load_corpus
from hadamard.model.representation.sentence_encoders import LocatedSentenceEncoder, locate
from hadamard.model.settings import Data
from hadamard.model.trial import TrialSettings


@dataclass(frozen=True)
class Inputs:
    """The corpus and the sentence encoder that settings name, on this machine."""

    corpus: Corpus
    sentence_encoder: LocatedSentenceEncoder


def inputs_of(settings: TrialSettings) -> Inputs:
    """Return corpus and sentence encoder of these settings.

    Raises:
        DataError: The corpus is missing or damaged.
        SentenceEncoderError: The encoder is missing.
    """
    return Inputs(corpus_of(settings.data), _sentence_encoder(settings.sentence_encoder.name))


@functools.lru_cache(maxsize=64)
def corpus_of(data: Data) -> Corpus:
    """Return the corpus of these settings; raises as `inputs_of`."""
    return load_corpus(data)


@functools.lru_cache(maxsize=16)
def _sentence_encoder(name: str) -> LocatedSentenceEncoder:
    return locate(name)
