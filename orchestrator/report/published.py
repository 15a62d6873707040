"""Published results for this task, each with its source, and the studies beside which they belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PAPER = "Kim et al., arXiv 2504.08732"
INDEPENDENT = "independent runs of the paper's protocol"
ENCODER = "paraphrase-mpnet-base-v2"
"""The sentence encoder of all these numbers, of 768 dimensions."""


@dataclass(frozen=True)
class Accuracy:
    """A test accuracy as it was published."""

    what: str
    test: str
    """In per cent, with its standard deviation over resamples where one was given."""
    source: str


@dataclass(frozen=True)
class Gap:
    """A difference of test accuracies, as a fraction."""

    what: str
    """As it is drawn, with the size in points."""
    size: float
    source: str


ACCURACIES = (
    Accuracy("quantum head, several encoders, 14 qubits, 886 parameters", "92.70", PAPER),
    Accuracy("quantum head, one encoder, 10 qubits", "90.21", PAPER),
    Accuracy("best classical head of comparable size (a support vector machine)", "89.56", PAPER),
    Accuracy("logistic regression on frozen embeddings, 20 resamples", "88.96 ± 0.52", INDEPENDENT),
    Accuracy("photonic heads on frozen embeddings", "88.7 to 88.9", INDEPENDENT),
    Accuracy("logistic regression after SetFit on the same 435 sentences, 5 resamples", "92.56 ± 0.14", INDEPENDENT),
)
QUANTUM_GAPS = (
    Gap("paper's best head +3.14", 0.9270 - 0.8956, PAPER),
    Gap("paper, one encoder +0.65", 0.9021 - 0.8956, PAPER),
    Gap("photonic heads −0.2", (0.887 + 0.889) / 2 - 0.8896, INDEPENDENT),
)
"""A quantum head minus the best classical one of comparable size; of photonic heads, minus logistic regression on the same embeddings."""
SETFIT_GAP = Gap("independent +3.6", 0.9256 - 0.8896, INDEPENDENT)
"""Logistic regression on SetFit embeddings minus on frozen ones."""


SST2_HASH = "5f15d53a55e99bd2"
"""Of the 9,613 sentences: how a corpus is known whatever name and place a study gives it."""


def applies(provenance: Mapping[str, str]) -> bool:
    """Return whether the published numbers belong beside a study's: they are of SST-2.

    Args:
        provenance: of the study; `data hash` is that of its corpus.
    """
    return provenance.get("data hash") == SST2_HASH
