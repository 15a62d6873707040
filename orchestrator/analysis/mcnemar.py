"""McNemar's test of two heads on the test sentences of a split, and its count over splits.

What holds over splits is the interval of their paired differences (comparisons.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from hadamard.orchestrator.analysis.inference import LEVEL

FEWEST_FOR_MID_P = 25
"""Below this many sentences on which two heads disagree, the exact test is used although it errs towards seeing nothing."""


@dataclass(frozen=True)
class McNemar:
    """Two heads on the test sentences of one split; the test rests on those that one alone classified right."""

    only_a: int
    """Sentences that only the first head classified right."""
    only_b: int
    sentences: int
    p: float
    """Two-sided; 1 where the heads never disagree."""
    method: Literal["exact", "mid-p"]
    """`exact`: binomial (McNemar 1947); `mid-p`: that, with half the probability of what was observed (Fagerland, Lydersen and Laake,
    BMC Medical Research Methodology 13:91, 2013), whose error rate scatters about its level, where a continuity correction stays below."""

    @property
    def difference(self) -> float:
        """The first head's accuracy less the second's, on these sentences."""
        return (self.only_a - self.only_b) / self.sentences


@dataclass(frozen=True)
class McNemarOverSplits:
    """On how many splits two heads differ at the 5 % level, all splits together (Holm, Scandinavian Journal of Statistics 6, 1979).

    A description, not a test over splits: nearly all test sentences are the same on every split, so p values must not be combined.
    """

    splits: int
    a_better: int
    b_better: int
    adjusted_p: dict[int, float]
    """By split, after Holm: holds whatever the dependence between splits."""


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """Compare two heads on the same test sentences.

    Args:
        right_a: booleans [sentences], whether the first head classified each sentence right.
        right_b: the same of the second head, sentences in the same order.

    Raises:
        ValueError: there are no sentences, or not equally many of them.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"McNemar's test takes two heads' results on the same sentences, not arrays of shapes {a.shape} and {b.shape}")
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    mid = only_a + only_b >= FEWEST_FOR_MID_P
    return McNemar(only_a, only_b, len(a), discordant_p(only_a, only_b, mid), "mid-p" if mid else "exact")


def discordant_p(only_a: int, only_b: int, mid: bool) -> float:
    """Return the two-sided p value of these numbers of sentences that one head alone classified right, by either method of `McNemar`."""
    fewer, both = min(only_a, only_b), only_a + only_b
    point = float(stats.binom.pmf(fewer, both, 0.5))
    if only_a == only_b:
        return 1 - point / 2 if mid else 1.0
    exact = 2 * float(stats.binom.cdf(fewer, both, 0.5))
    return exact - point if mid else exact


def mcnemar_over_splits(by_split: Mapping[int, McNemar]) -> McNemarOverSplits:
    """Count the splits on which two heads differ, in either direction, with Holm's adjustment for looking at all of them.

    Args:
        by_split: `mcnemar` of the same two heads, by split.
    """
    adjusted = dict(zip(by_split, holm([test.p for test in by_split.values()]), strict=True))
    differences = [by_split[split].difference for split, p in adjusted.items() if p <= 1 - LEVEL]
    return McNemarOverSplits(
        len(by_split), sum(difference > 0 for difference in differences), sum(difference < 0 for difference in differences), adjusted
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted so that with probability 0.95 none falls below 0.05 by chance, whatever their dependence."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1)
    return [float(value) for value in adjusted]
