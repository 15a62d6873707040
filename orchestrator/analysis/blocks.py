"""Splits as blocks: fixed where every split saw the same rows, a random effect where failures unbalanced the design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from hadamard.orchestrator.analysis.inference import FEWEST_DF, Array, Fit, least_squares

LARGEST_RATIO = 1e4
SMALLEST_RATIO = 1e-6
"""Beyond these, splits are as good as fixed, and as good as all alike."""


@dataclass(frozen=True)
class SplitTerm:
    """How splits entered a model."""

    method: Literal["none", "fixed", "random"]
    """`none`: one split only; `fixed`: differences within splits alone count; `random`: a mixed model with a random intercept per split."""
    ratio: float | None = None
    """Of `random`: variance between splits per variance of the noise, by REML."""
    reason: Literal["one split", "balanced", "few trials", "splits differ beyond measure", "unbalanced"] = "one split"


ONE_SPLIT = SplitTerm("none")


def fit_in_splits(columns: Array, splits: NDArray[np.int64], response: Array) -> tuple[Fit, SplitTerm]:
    """Fit a response [trials] on columns [trials, terms] with splits as blocks; coefficients of `columns` come first, then splits'.

    A random effect is least squares with a penalty on the split columns (Henderson's mixed model equations, Biometrics 31, 1975), so
    estimates differ from those of fixed blocks by what the splits' means tell. Where every split has the same mean of every column they
    tell nothing, and blocks are fixed. What is left over, its degrees of freedom and what can be told apart stay those of fixed blocks:
    the noise is measured within splits alone, so that a t interval holds however well the variance between splits is known.

    Coefficients of split columns sum to zero over splits: a contrast of `columns` alone speaks of the average of these splits.
    """
    blocks = block_columns(splits)
    fixed = least_squares(np.column_stack([columns, blocks]), response)
    term = _split_term(fixed, columns, splits, response)
    if term.ratio is None:
        return fixed, term
    each = block_columns(np.unique(splits)) / np.sqrt(max(term.ratio, SMALLEST_RATIO))
    matrix = np.block([[columns, blocks], [np.zeros((len(each), columns.shape[1])), each]])
    random = least_squares(matrix, np.concatenate([response, np.zeros(len(each))]))
    return replace(fixed, beta=random.beta, unscaled=random.unscaled), term


def block_columns(blocks: NDArray[np.int64]) -> Array:
    """Return sum-to-zero columns [trials, blocks - 1] for blocks [trials], such as splits or nodes."""
    which = np.unique(blocks, return_inverse=True)[1]
    full = np.eye(which.max() + 1)[which]
    return np.asarray(full[:, :-1] - full[:, -1:])


def _split_term(fixed: Fit, columns: Array, splits: NDArray[np.int64], response: Array) -> SplitTerm:
    which, sizes = np.unique(splits, return_inverse=True, return_counts=True)[1:]
    if len(sizes) == 1:
        return ONE_SPLIT
    means = np.array([columns[which == split].mean(axis=0) for split in range(len(sizes))])
    if np.allclose(means, means[0], atol=1e-9):
        return SplitTerm("fixed", reason="balanced")
    if fixed.df < FEWEST_DF:
        return SplitTerm("fixed", reason="few trials")
    ratio = variance_ratio(columns, splits, response) if fixed.rss > 0 else np.inf
    return SplitTerm("random", ratio, "unbalanced") if ratio < LARGEST_RATIO else SplitTerm("fixed", reason="splits differ beyond measure")


def variance_ratio(columns: Array, splits: NDArray[np.int64], response: Array) -> float:
    """Return the variance between splits per variance of the noise by restricted maximum likelihood; infinite above 10,000.

    With one random intercept the likelihood depends on this ratio alone once everything else is at its best (Harville, JASA 72, 1977),
    so one bounded search finds it, also where the columns are not independent and where the best ratio is zero.
    """
    deviance = _restricted_deviance(columns, splits, response)
    largest = LARGEST_RATIO / (1 + LARGEST_RATIO)

    def of_share(share: float) -> float:
        """Take the splits' share of the whole variance, which has a bounded range."""
        return deviance(share / (1 - share))

    inside = optimize.minimize_scalar(of_share, bounds=(0, largest), method="bounded", options={"xatol": 1e-7})
    best = min((0.0, float(inside.x), largest), key=of_share)
    return np.inf if best == largest else best / (1 - best)


def _restricted_deviance(columns: Array, splits: NDArray[np.int64], response: Array) -> Callable[[float], float]:
    """Return minus twice the profiled restricted log-likelihood, up to a constant, as a function of the ratio of variances."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    basis = left[:, sizes > 1e-10 * sizes.max()]
    both = np.column_stack([basis, response - basis @ (basis.T @ response)])
    which, counts = np.unique(splits, return_inverse=True, return_counts=True)[1:]
    sums = np.eye(len(counts))[:, which] @ both
    gram, free = both.T @ both, len(response) - basis.shape[1]

    def deviance(ratio: float) -> float:
        weighted = gram - (sums.T * (ratio / (1 + ratio * counts))) @ sums
        of_basis = np.linalg.slogdet(weighted[:-1, :-1])[1]
        log_rss = np.linalg.slogdet(weighted)[1] - of_basis
        return float(free * log_rss + of_basis + np.sum(np.log1p(ratio * counts)))

    return deviance
