"""An answer to what a reader asks of a study, and the names that people know things by.

Owns what an answer is made of, and what rows and baselines are called. Does not own any answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["up", "down", "none"]
MOST_NAMED = 4
"""More effects or classical heads than this are told in numbers and by their extremes."""
NAMES = {"lr": "learning rate", "reuploads": "re-uploads", "logistic": "logistic regression", "setfit": "SetFit"}


@dataclass(frozen=True)
class Answer:
    """What was asked, the answer, and what its ± holds for."""

    question: str
    text: str
    detail: str = ""
    tone: Tone = "none"


@dataclass(frozen=True)
class Nouns:
    """What a row of the design and a baseline are called, each in the singular."""

    row: str
    baseline: str


def nouns(quantum: bool) -> Nouns:
    """Return the nouns of a study; baselines are always classical heads, so only beside quantum rows does that tell them apart."""
    return Nouns("quantum row", "classical head") if quantum else Nouns("row", "baseline")


def name_of(text: str) -> str:
    """Return a factor's, level's or head's name as people would write it."""
    return NAMES.get(text, text)


def capital(text: str) -> str:
    """Return the text with a capital first letter, as at the start of a sentence."""
    return text[:1].upper() + text[1:]
