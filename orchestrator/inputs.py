"""The corpus and the sentence encoder that trials read, looked up once per distinct setting.

Owns the look-up and its memory. Does not own embeddings, nor how a corpus or a model is found.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from model import text
from model.sentence_encoders import LocatedEncoder, locate
from model.settings import Data, TrialSettings


@dataclass(frozen=True)
class Inputs:
    """What the settings' names stand for on this machine."""

    corpus: text.Corpus
    encoder: LocatedEncoder


def inputs_of(settings: TrialSettings) -> Inputs:
    """Return corpus and sentence encoder of these settings.

    Raises:
        DataError: The corpus is not there, damaged, or too small for the split.
        SentenceEncoderError: The encoder is not there.
    """
    return Inputs(_corpus(settings.data), _encoder(settings.sentence_encoder.name))


@functools.lru_cache(maxsize=64)
def _corpus(data: Data) -> text.Corpus:
    corpus = text.load(data)
    text.split(corpus, data, seed=0)  # too few sentences are found out now, not in the first trial
    return corpus


@functools.lru_cache(maxsize=16)
def _encoder(name: str) -> LocatedEncoder:
    return locate(name)
